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

/// Memory of the process that is in RAM and is not a file's: what no one but the process can give back.
pub fn anonymous_bytes() -> Option<u64> {
    let status = std::fs::read_to_string(STATUS_PATH).ok()?;
    let bytes = bytes_in(&status, "RssAnon:").or_else(|| bytes_in(&status, "VmRSS:"))?;
    u64::try_from(bytes).ok()
}

/// Memory of the process that is in RAM.
pub fn resident_bytes() -> Option<i64> {
    bytes_in(&std::fs::read_to_string(STATUS_PATH).ok()?, "VmRSS:")
}

fn bytes_in(status: &str, name: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<i64>().ok()?.checked_mul(1024)
}

/// Open file descriptors of the process.
pub fn open_descriptors() -> Option<i64> {
    // The directory itself is open while it is counted.
    i64::try_from(std::fs::read_dir("/proc/self/fd").ok()?.count()).ok().map(|count| count - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_status_file() {
        let status = "Name:\tcrossdock\nVmRSS:\t    2048 kB\nRssAnon:\t 1 kB\n";
        assert_eq!(bytes_in(status, "VmRSS:"), Some(2 * 1024 * 1024));
        assert_eq!(bytes_in(status, "RssAnon:"), Some(1024));
        assert_eq!(bytes_in("Name:\tcrossdock\n", "VmRSS:"), None);
        assert_eq!(bytes_in("VmRSS: many kB\n", "VmRSS:"), None);
    }
}
