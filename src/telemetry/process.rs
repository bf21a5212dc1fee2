//! Memory and file descriptors of this process, read from /proc at each scrape. Absent where there is no /proc.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;

/// Its `VmRSS` is in KiB everywhere; /proc/self/statm counts pages, whose size differs between machines.
const STATUS_PATH: &str = "/proc/self/status";

/// The gauges `crossdock_process_resident_memory_bytes` and `crossdock_process_open_fds`.
#[derive(Debug)]
pub struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let gauges = [
            ("process_resident_memory_bytes", "Memory of the process that is in RAM", resident_bytes()),
            ("process_open_fds", "Open file descriptors of the process", open_descriptors()),
        ];
        for (name, help, value) in gauges {
            let Some(gauge) = value.map(ConstGauge::new) else { continue };
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

fn resident_bytes() -> Option<i64> {
    resident_bytes_in(&std::fs::read_to_string(STATUS_PATH).ok()?)
}

fn resident_bytes_in(status: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<i64>().ok()?.checked_mul(1024)
}

fn open_descriptors() -> Option<i64> {
    // The directory itself is open while it is counted.
    i64::try_from(std::fs::read_dir("/proc/self/fd").ok()?.count()).ok().map(|count| count - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_from_the_status_file() {
        assert_eq!(resident_bytes_in("Name:\tcrossdock\nVmRSS:\t    2048 kB\nVmData: 1 kB\n"), Some(2 * 1024 * 1024));
        assert_eq!(resident_bytes_in("Name:\tcrossdock\n"), None);
        assert_eq!(resident_bytes_in("VmRSS: many kB\n"), None);
    }
}
