//! The daemon: what it does, and what happens without it.

mod docker_protocol;
mod flood;
mod follow;
mod heal;
mod life;
mod metrics;

zubi_lab::test_files!(docker_protocol, flood, follow, heal, life, metrics);
