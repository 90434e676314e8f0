//! The time of day, for what is dated. Nothing is computed from it: clocks are set.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
pub fn since_1970() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

/// `2026-11-27T01:39:20Z`
pub fn date() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}
