//! The engine: every way into zubi ends in one of these calls.

mod answer;
mod caller;
mod calls;
mod cleanup;
mod config;
mod decide;
mod engine;
mod error;
mod fault;
mod firewall;
mod heal;
mod look;
mod perform;
mod port_claims;
mod problem;
mod random;
mod records;
mod report;
mod session;
mod shared;
mod steps;
mod undo;

pub use answer::list::{BridgeView, EndpointView, LinkState, LinkView, PortView, SandboxView};
pub use caller::{become_fresh_host, block_interrupts, boot_clock};
pub use cleanup::{DetachedChild, Worker};
pub use config::{Coexistence, Config, Forwarding};
pub use engine::{Engine, LostRecords};
pub use error::{Class, Error};
pub use perform::attach::{Attached, Attachment};
pub use perform::link::Linked;
pub use perform::publish::Published;
pub use perform::run::{Ended, Model, RunSpec, Started};
pub use perform::set_network::NetworkSet;
pub use perform::unlink::Unlinked;
pub use problem::{Problem, ProblemKind};
pub use report::{Act, Compared, Force, Report};
pub use session::{Cleanup, Session};
pub use undo::endpoint::Detached;

pub use zubi_kernel::{Finding, Observer, Stream, Written};
pub use zubi_plan::device::DeviceSettings;
pub use zubi_plan::{Op, Plan};
pub use zubi_store::OtherNamespace;
pub use zubi_wire::route::Switch;
