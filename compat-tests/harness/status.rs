//! `status -j`, read as an operator's script would.

use serde_json::Value;

/// The answer of one `status -j`.
#[derive(Clone, Debug)]
pub(crate) struct Status(Value);

impl Status {
    /// Parses the text of `status -j`.
    #[track_caller]
    pub(crate) fn parse(text: &str) -> Self {
        Self(serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in: {text}")))
    }

    /// The names of the services that it lists.
    pub(crate) fn names(&self) -> Vec<&str> {
        let services = self.0["services"].as_array().expect("services");
        services
            .iter()
            .filter_map(|service| service["name"].as_str())
            .collect()
    }

    /// The service called `name`.
    #[track_caller]
    pub(crate) fn service(&self, name: &str) -> ServiceStatus<'_> {
        let services = self.0["services"].as_array().expect("services");
        services
            .iter()
            .find(|service| service["name"] == name)
            .map_or_else(|| panic!("no service {name} in {}", self.0), ServiceStatus)
    }
}

/// One service in a status.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServiceStatus<'a>(&'a Value);

impl<'a> ServiceStatus<'a> {
    /// Whether it runs.
    pub(crate) fn running(self) -> bool {
        self.0["running"].as_bool().expect("running")
    }

    /// A field that is a number.
    #[track_caller]
    pub(crate) fn number(self, field: &str) -> u64 {
        number(self.0, field)
    }

    /// A field that is text.
    #[track_caller]
    pub(crate) fn text(self, field: &str) -> &'a str {
        text(self.0, field)
    }

    /// Its back ends in order of definition.
    pub(crate) fn backends(self) -> Vec<BackendStatus<'a>> {
        let backends = self.0["backends"].as_array().expect("back ends");
        backends.iter().map(BackendStatus).collect()
    }

    /// The back end called `name`.
    #[track_caller]
    pub(crate) fn backend(self, name: &str) -> BackendStatus<'a> {
        self.backends()
            .into_iter()
            .find(|backend| backend.text("name") == name)
            .unwrap_or_else(|| panic!("no back end {name} in {}", self.0))
    }
}

/// One back end in a status.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BackendStatus<'a>(&'a Value);

impl<'a> BackendStatus<'a> {
    /// A field that is a whole number.
    #[track_caller]
    pub(crate) fn number(self, field: &str) -> u64 {
        number(self.0, field)
    }

    /// A field that is text.
    #[track_caller]
    pub(crate) fn text(self, field: &str) -> &'a str {
        text(self.0, field)
    }

    /// Its state.
    pub(crate) fn state(self) -> &'a str {
        self.text("state")
    }

    /// The figure of the dispatch mode.
    pub(crate) fn usage(self) -> f64 {
        self.0["usage"]
            .as_f64()
            .unwrap_or_else(|| panic!("usage in {}", self.0))
    }
}

#[track_caller]
fn number(value: &Value, field: &str) -> u64 {
    value[field]
        .as_u64()
        .unwrap_or_else(|| panic!("no number {field} in {value}"))
}

#[track_caller]
fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field]
        .as_str()
        .unwrap_or_else(|| panic!("no text {field} in {value}"))
}
