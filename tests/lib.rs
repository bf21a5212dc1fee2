//! The tests of the whole program are in the test binary `all`; this library is empty.
