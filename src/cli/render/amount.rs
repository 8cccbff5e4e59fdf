//! Ages and numbers of bytes as people read them.

/// A number of seconds in its two largest units: `42s`, `3m12s`, `5h07m`,
/// `2d04h`.
pub(super) fn age(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    if days > 0 {
        format!("{days}d{:02}h", hours % 24)
    } else if hours > 0 {
        format!("{hours}h{:02}m", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes}m{:02}s", seconds % 60)
    } else {
        format!("{seconds}s")
    }
}

/// A number of bytes: below 10000 as it is, else with one decimal in the
/// smallest unit that needs no more than four digits before the point.
pub(super) fn size(bytes: u64) -> String {
    if bytes < 10_000 {
        return bytes.to_string();
    }
    let mut unit = 1u128;
    let mut tenths = 0;
    let mut letter = ' ';
    for next in ['K', 'M', 'G', 'T', 'P', 'E'] {
        unit *= 1024;
        letter = next;
        tenths = (u128::from(bytes) * 10 + unit / 2) / unit;
        if tenths < 10_240 {
            break;
        }
    }
    format!("{}.{}{letter}", tenths / 10, tenths % 10)
}

/// The mean length of `ended` connections that took `microseconds` together,
/// in seconds with 3 decimals; `-` for none.
pub(super) fn mean(microseconds: u64, ended: Option<u64>) -> String {
    match ended {
        Some(ended) if ended > 0 => {
            let divisor = u128::from(ended) * 1000;
            let milliseconds = (u128::from(microseconds) + divisor / 2) / divisor;
            format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
        }
        _ => "-".to_owned(),
    }
}

/// The mean of times that are `microseconds` together, in milliseconds with 1
/// decimal; `-` as long as nothing was measured.
pub(super) fn milliseconds(microseconds: u64, times: u64) -> String {
    if microseconds == 0 || times == 0 {
        return "-".to_owned();
    }
    let divisor = u128::from(times) * 100;
    let tenths = (u128::from(microseconds) + divisor / 2) / divisor;
    format!("{}.{} ms", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_has_its_two_largest_units() {
        for (seconds, expected) in [
            (0, "0s"),
            (42, "42s"),
            (60, "1m00s"),
            (192, "3m12s"),
            (3599, "59m59s"),
            (3600, "1h00m"),
            (18_420, "5h07m"),
            (86_399, "23h59m"),
            (86_400, "1d00h"),
            (187_200, "2d04h"),
            (86_400 * 400, "400d00h"),
        ] {
            assert_eq!(age(seconds), expected);
        }
    }

    #[test]
    fn size_is_rounded_from_10000_on() {
        for (bytes, expected) in [
            (0, "0"),
            (9_999, "9999"),
            (10_000, "9.8K"),
            (1_048_524, "1023.9K"),
            // 1023.96K would be printed as 1024.0K.
            (1_048_535, "1.0M"),
            (1_048_576, "1.0M"),
            (10_066_330, "9.6M"),
            (81_474_355, "77.7M"),
            (5 << 40, "5.0T"),
            (u64::MAX, "16.0E"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }

    #[test]
    fn mean_in_milliseconds_needs_a_time_that_was_measured() {
        assert_eq!(milliseconds(0, 0), "-");
        assert_eq!(milliseconds(0, 3), "-");
        assert_eq!(milliseconds(5, 0), "-");
        assert_eq!(milliseconds(149, 1), "0.1 ms");
        assert_eq!(milliseconds(150, 1), "0.2 ms");
        assert_eq!(milliseconds(120_500_000, 30_100), "4.0 ms");
        assert_eq!(milliseconds(u64::MAX, 1), "18446744073709551.6 ms");
    }

    #[test]
    fn mean_needs_an_ended_connection() {
        assert_eq!(mean(5_000_000, Some(0)), "-");
        assert_eq!(mean(5_000_000, None), "-");
        assert_eq!(mean(5_000_000, Some(2)), "2.500");
        assert_eq!(mean(1_499, Some(1)), "0.001");
        assert_eq!(mean(1_500, Some(1)), "0.002");
        assert_eq!(mean(u64::MAX, Some(1)), "18446744073709.552");
    }
}
