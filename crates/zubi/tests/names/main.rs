//! Names: what sandboxes hear when they ask, with the daemon.

mod daemon;
mod elsewhere;
mod floods;
mod podman;
mod redirect;
mod resolver;

zubi_lab::test_files!(elsewhere, floods, podman, redirect, resolver);
