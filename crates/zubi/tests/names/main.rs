//! Names: what sandboxes hear when they ask, with the daemon.

mod aardvark;
mod daemon;
mod elsewhere;
mod files;
mod floods;
mod host_server;
mod podman;
mod redirect;
mod resolver;

zubi_lab::test_files!(aardvark, elsewhere, files, floods, podman, redirect, resolver);
