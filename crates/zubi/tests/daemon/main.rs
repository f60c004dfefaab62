//! The daemon: what it does, and what happens without it.

mod docker_protocol;
mod follow;
mod heal;
mod life;
mod metrics;

zubi_lab::test_files!(docker_protocol, follow, heal, life, metrics);
