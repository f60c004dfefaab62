//! The engine: the command line and all doors call it for every command.

mod answer;
mod caller;
mod calls;
mod class;
mod cleanup;
mod config;
mod decide;
mod engine;
mod error;
mod error_words;
mod fault;
mod firewall;
mod heal;
mod look;
mod outside;
mod perform;
mod port_claims;
mod problem;
mod random;
mod records;
mod report;
mod session;
mod settings;
mod shared;
mod steps;
mod undo;

pub use answer::bridge::{BridgeView, ForwardingView, PortView};
pub use answer::device::HostDevice;
pub use answer::list::{EndpointView, LinkState, LinkView, SandboxView};
pub use answer::peer::PeerView;
pub use caller::{
    Typed, become_fresh_host, block_interrupts, boot_clock, carries_here, forget_typed, make_outside, typed,
};
pub use class::Class;
pub use cleanup::{DetachedChild, Worker};
pub use config::Config;
pub use engine::{Engine, LostRecords};
pub use error::Error;
pub use heal::object::Object;
pub use look::far_end::{Behind, FarDevice};
pub use look::owner::Owner;
pub use look::unconfirmed::Unconfirmed;
pub use outside::Outside;
pub use perform::attach::{Attached, Attachment};
pub use perform::become_command::Program;
pub use perform::link::Linked;
pub use perform::publish::Published;
pub use perform::run::{Ended, Model, RunSpec, Started};
pub use perform::set_network::NetworkSet;
pub use perform::unlink::Unlinked;
pub use perform::uplink::TakeOver;
pub use problem::{Problem, ProblemKind};
pub use report::{Act, Compared, Connected, Force, Report};
pub use session::{Cleanup, Session};
pub use settings::{Coexistence, DefaultNetwork, Forwarding};
pub use undo::endpoint::Detached;

pub use zubi_kernel::{Observer, Stream, Written};
pub use zubi_plan::device_settings::DeviceSettings;
pub use zubi_plan::{Op, Plan};
pub use zubi_snapshot::{Finding, Snapshot};
pub use zubi_store::OtherNamespace;
pub use zubi_wire::route::Switch;
