//! Whether ovs-vswitchd has applied what is in the database.

use crate::{Answer, Request};
use serde_json::{Value, json};

/// Has ovs-vswitchd say when it has applied what is in the database, as `ovs-vsctl` does.
pub(crate) fn next_configuration() -> Value {
    json!({"op": "mutate", "table": "Open_vSwitch", "where": [], "mutations": [["next_cfg", "+=", 1]]})
}

pub(crate) fn select_configuration() -> Value {
    json!({"op": "select", "table": "Open_vSwitch", "where": [], "columns": ["next_cfg", "cur_cfg"]})
}

/// Asks for the number of the [`Configuration`].
pub fn read_configuration() -> Request {
    Request::transact(vec![select_configuration()])
}

/// How far ovs-vswitchd has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Configuration {
    /// The number of what is in the database.
    pub wanted: i64,
    /// The number of what ovs-vswitchd has applied.
    pub applied: i64,
}

impl Configuration {
    /// Reads the answer to [`read_configuration`], [`Port::add`](crate::Port::add) or [`Port::set`](crate::Port::set).
    pub fn of(answer: &Answer) -> Option<Self> {
        let row = answer.last_rows().first()?;
        Some(Configuration { wanted: row["next_cfg"].as_i64()?, applied: row["cur_cfg"].as_i64()? })
    }
}
