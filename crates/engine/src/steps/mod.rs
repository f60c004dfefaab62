//! Steps that several commands share: apply a plan, claim, change a network.

pub(crate) mod apply;
pub(crate) mod ask_dhcp;
pub(crate) mod change_network;
pub(crate) mod claim;
pub(crate) mod flush;
pub(crate) mod name_files;
pub(crate) mod name_service;
pub(crate) mod take_lease;
