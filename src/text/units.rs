//! Numbers with their units.

/// `89,874,104`
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `3.61 GiB`
pub fn bytes(bytes: u64) -> String {
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let (value, unit) = scaled(bytes as f64, 1024.0, &units);
    match unit {
        "bytes" => format!("{bytes} bytes"),
        unit => format!("{} {unit}", three_digits(value)),
    }
}

/// `45.1 GFLOP`
pub fn flops(flops: u64) -> String {
    let units = ["FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP"];
    let (value, unit) = scaled(flops as f64, 1000.0, &units);
    format!("{} {unit}", three_digits(value))
}

/// `61 s`, `2.4 s`, `18 ms`
pub fn seconds(seconds: f64) -> String {
    match seconds {
        ..0.1 => format!("{:.0} ms", 1e3 * seconds),
        ..10.0 => format!("{seconds:.1} s"),
        _ => format!("{seconds:.0} s"),
    }
}

/// `2.41 s`, `18.0 ms`, `345 µs`
pub fn precise(seconds: f64) -> String {
    let units = ["ns", "µs", "ms", "s"];
    match seconds {
        ..1e3 => {
            let (value, unit) = scaled(1e9 * seconds, 1000.0, &units);
            format!("{} {unit}", three_digits(value))
        }
        _ => format!("{seconds:.0} s"),
    }
}

/// `2.4 s`, and from a minute on `3m 05s`
pub fn lasting(time: f64) -> String {
    if time < 60.0 {
        seconds(time)
    } else {
        duration(time)
    }
}

/// `42s`, `3m 05s`, `2h 07m`, `4d 11h`
pub fn duration(seconds: f64) -> String {
    let s = seconds.round() as u64;
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m {:02}s", s / 60, s % 60),
        3600..86_400 => format!("{}h {:02}m", s / 3600, s / 60 % 60),
        _ => format!("{}d {:02}h", s / 86_400, s / 3600 % 24),
    }
}

/// Reads a size: `4GiB`, `512 MiB`, `1.5G`, `2000MB`, `4294967296`. A bare letter counts in 1024s, as memory does.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let unit = unit.trim().to_ascii_lowercase();
    let (letter, base) = match unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')) {
        Some(letter) if unit.ends_with("ib") => (letter, 1024f64),
        Some(letter) => (letter, 1000.0),
        None => (unit.as_str(), 1024.0),
    };
    let exponent = ["", "k", "m", "g", "t"].iter().position(|l| *l == letter)?;
    let bytes = number.parse::<f64>().ok()? * base.powi(exponent as i32);
    (bytes.is_finite() && bytes >= 1.0).then_some(bytes as u64)
}

/// The largest unit that the value has at least one of.
fn scaled<'u>(value: f64, base: f64, units: &[&'u str]) -> (f64, &'u str) {
    let fits = |power: &usize| value >= base.powi(*power as i32);
    let power = (0..units.len()).rev().find(fits).unwrap_or(0);
    (value / base.powi(power as i32), units[power])
}

fn three_digits(value: f64) -> String {
    match value {
        ..9.995 => format!("{value:.2}"),
        ..99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [7, 1000, 89_874_104].map(grouped),
            ["7", "1,000", "89,874,104"]
        );
        let sizes = [0, 1023, 1536, 4 << 30, 400 << 30].map(bytes);
        assert_eq!(
            sizes,
            ["0 bytes", "1023 bytes", "1.50 KiB", "4.00 GiB", "400 GiB"]
        );
        assert_eq!([0, 45_123_456_789].map(flops), ["0.00 FLOP", "45.1 GFLOP"]);
        assert_eq!([0.018, 2.44, 61.2].map(seconds), ["18 ms", "2.4 s", "61 s"]);
        assert_eq!(
            [3.45e-4, 0.018, 2.414, 4210.0].map(precise),
            ["345 µs", "18.0 ms", "2.41 s", "4210 s"]
        );
    }

    #[test]
    fn durations_have_two_parts() {
        let told = [41.6, 185.0, 7620.0, 385_200.0].map(duration);
        assert_eq!(told, ["42s", "3m 05s", "2h 07m", "4d 11h"]);
        assert_eq!([2.44, 185.0].map(lasting), ["2.4 s", "3m 05s"]);
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let read = ["4GiB", "4g", "4 GB", "512 MiB", "1.5K", "10", "10b"].map(parse_bytes);
        let sizes = [4 << 30, 4 << 30, 4_000_000_000, 512 << 20, 1536, 10, 10];
        assert_eq!(read, sizes.map(Some));
        for wrong in ["", "G", "four", "4 XB", "-1G", "0", "1e400G", "4GiBs"] {
            assert_eq!(parse_bytes(wrong), None, "{wrong}");
        }
    }
}
