//! Names: what sandboxes hear when they ask, with the daemon.

mod daemon;
mod elsewhere;
mod files;
mod floods;
mod podman;
mod redirect;
mod resolver;

zubi_lab::test_files!(elsewhere, files, floods, podman, redirect, resolver);
