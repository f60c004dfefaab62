//! The daemon: what it does, and what happens without it.

mod follow;
mod heal;
mod life;

zubi_lab::test_files!(follow, heal, life);
