//! Dates and times of the calendar, as specifiers show them.

use std::fmt;

/// A date and time of the calendar, in some time zone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CalendarTime {
    /// Year, such as 2026.
    pub year: i32,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, 1 to 31.
    pub day: u8,
    /// Day of the week, 0 (Sunday) to 6.
    pub weekday: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 60.
    pub second: u8,
}

impl CalendarTime {
    /// The GMT calendar time of `seconds` since 1970-01-01 00:00 GMT.
    pub fn gmt(seconds: i64) -> Self {
        let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        // Days are counted in eras of 400 years that begin on 1 March, so that
        // the leap day is the last of its year.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let leap = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
        let year_of_era = (day_of_era - leap) / 365;
        let in_year = year_of_era * 365 + year_of_era / 4 - year_of_era / 100;
        let day_of_year = day_of_era - in_year;
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let january = i64::from(month >= 10);
        let small = |number: i64| u8::try_from(number).unwrap_or(0);
        Self {
            year: i32::try_from(year_of_era + era * 400 + january).unwrap_or(0),
            month: small(if month < 10 { month + 3 } else { month - 9 }),
            day: small(day),
            weekday: small((days + 4).rem_euclid(7)),
            hour: small(rest / 3_600),
            minute: small(rest / 60 % 60),
            second: small(rest % 60),
        }
    }

    /// In the form of ctime, without a line end: `Tue Mar  3 09:05:00 2026`.
    pub fn ctime(&self) -> String {
        const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
        let day = DAYS.get(usize::from(self.weekday)).unwrap_or(&"???");
        format!("{day} {} {}", self.syslog(), self.year)
    }

    /// The time stamp of a syslog line, `Mar  3 09:05:00` (RFC 3164, 4.1.2).
    pub fn syslog(self) -> impl fmt::Display {
        Stamp(self)
    }
}

struct Stamp(CalendarTime);

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MONTHS: [&[u8; 3]; 12] = [
            b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov",
            b"Dec",
        ];
        let time = self.0;
        let month = usize::from(time.month).checked_sub(1);
        let [m, o, n] = *month
            .and_then(|month| MONTHS.get(month).copied())
            .unwrap_or(b"???");
        let [d, a] = digits(time.day);
        let d = if d == b'0' { b' ' } else { d };
        let [h, i] = digits(time.hour);
        let [j, k] = digits(time.minute);
        let [s, t] = digits(time.second);
        write_ascii(
            f,
            &[m, o, n, b' ', d, a, b' ', h, i, b':', j, k, b':', s, t],
        )
    }
}

/// `YYYY-MM-DD/hh:mm:ss`. By hand: lines of a log carry it by the thousand.
impl fmt::Display for CalendarTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.year)?;
        let [m, n] = digits(self.month);
        let [d, e] = digits(self.day);
        let [h, i] = digits(self.hour);
        let [j, k] = digits(self.minute);
        let [s, t] = digits(self.second);
        let rest = [b'-', m, n, b'-', d, e, b'/', h, i, b':', j, k, b':', s, t];
        write_ascii(f, &rest)
    }
}

/// Two digits of a number below 100.
fn digits(number: u8) -> [u8; 2] {
    [b'0' + number / 10 % 10, b'0' + number % 10]
}

fn write_ascii(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    f.write_str(std::str::from_utf8(bytes).map_err(|_| fmt::Error)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calendar_agrees_with_known_days() {
        for (seconds, text) in [
            (0, "1970-01-01/00:00:00"),
            (951_827_696, "2000-02-29/12:34:56"),
            (-1, "1969-12-31/23:59:59"),
            (4_107_542_400, "2100-03-01/00:00:00"),
        ] {
            assert_eq!(CalendarTime::gmt(seconds).to_string(), text);
        }
        assert_eq!(CalendarTime::gmt(0).ctime(), "Thu Jan  1 00:00:00 1970");
    }
}
