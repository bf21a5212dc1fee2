//! Everything that speaks HTTP: health and metrics.

mod management;

pub use management::router as management_router;
