//! Events and numbers turned into text: syslog, activity lines, metrics.
