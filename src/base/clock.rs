//! Dates as operators read them: in logs, in specifiers, in tables.
//!
//! Reads no clock: the moment is always given, in whole seconds since 1970.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::base::calendar::CalendarTime;

/// Writes moments in the time of one place: the system's, or GMT.
///
/// The rules of the zone are read once, so writing a date opens no file.
#[derive(Clone, Debug)]
pub struct Clock(TimeZone);

impl Clock {
    /// The zone that `TZ` or `/etc/localtime` names; GMT where neither does.
    pub fn local() -> Self {
        Self(TimeZone::try_system().unwrap_or(TimeZone::UTC))
    }

    /// GMT.
    pub fn gmt() -> Self {
        Self(TimeZone::UTC)
    }

    /// A zone so many whole hours east of Greenwich.
    #[cfg(test)]
    pub(crate) fn east(hours: i8) -> Self {
        Self(TimeZone::fixed(jiff::tz::offset(hours)))
    }

    /// `YYYY-MM-DD/hh:mm:ss`, as in `%g`, `%l` and log lines.
    ///
    /// Source: decided (10, 13.3, 13.4).
    pub fn date(&self, unix: u64) -> String {
        self.calendar(unix).to_string()
    }

    /// The form of ctime, `Tue Mar  3 09:05:00 2026`, in English and without
    /// line end, as in `%t` and `%T`.
    ///
    /// Source: decided (10).
    pub fn ctime(&self, unix: u64) -> String {
        self.calendar(unix).ctime()
    }

    /// The date and time of the calendar, for the specifiers of section 10.
    pub fn calendar(&self, unix: u64) -> CalendarTime {
        let second = i64::try_from(unix)
            .ok()
            .and_then(|unix| Timestamp::from_second(unix).ok());
        let local = self.0.to_datetime(second.unwrap_or(Timestamp::MAX));
        let small = |number: i8| u8::try_from(number).unwrap_or(0);
        CalendarTime {
            year: i32::from(local.year()),
            month: small(local.month()),
            day: small(local.day()),
            weekday: small(local.weekday().to_sunday_zero_offset()),
            hour: small(local.hour()),
            minute: small(local.minute()),
            second: small(local.second()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-03-03 09:05:00 GMT.
    const TUESDAY: u64 = 1_772_528_700;

    #[test]
    fn date_and_ctime_have_their_published_shapes() {
        let gmt = Clock::gmt();

        assert_eq!(gmt.date(TUESDAY), "2026-03-03/09:05:00");
        assert_eq!(gmt.ctime(TUESDAY), "Tue Mar  3 09:05:00 2026");
        let stamp = gmt.calendar(TUESDAY).syslog().to_string();
        assert_eq!(stamp, "Mar  3 09:05:00");
    }

    #[test]
    fn local_dates_follow_the_zone_and_its_summer_time() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let local = Clock(zone);

        assert_eq!(local.date(TUESDAY), "2026-03-03/10:05:00");
        assert_eq!(local.date(TUESDAY + 120 * 86_400), "2026-07-01/11:05:00");
        let calendar = local.calendar(TUESDAY);
        assert_eq!(calendar.to_string(), local.date(TUESDAY));
        assert_eq!(calendar.ctime(), local.ctime(TUESDAY));
    }

    #[test]
    fn moment_beyond_the_calendar_is_shown_as_its_last_day() {
        assert!(Clock::gmt().date(u64::MAX).starts_with("9999-12-3"));
    }
}
