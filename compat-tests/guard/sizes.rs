//! Bytes of the records that each client has.

use std::collections::BTreeMap;

use crossroads::relay::Engine;
use crossroads::relay::host::Host;
use crossroads::service::connection::WorkerHost;

use crate::table::{Margin, Table};

/// Less than one word is not worth a change of the table.
const MARGIN: Margin = Margin {
    above: 0.0,
    below: 7.0,
};

#[test]
fn the_records_of_a_client() {
    let found = [
        ("relay", Engine::<WorkerHost>::RECORD_SIZE),
        ("session", size_of::<<WorkerHost as Host>::Session>()),
        ("exchange", Engine::<WorkerHost>::EXCHANGE_SIZE),
    ];

    let found = found.map(|(name, size)| (name.to_owned(), size as f64));
    Table::called("sizes.txt").assert_holds("record", &BTreeMap::from(found), |_| MARGIN);
}
