//! The pages for users: their screens, their names of tests, their links.

mod docker;
mod pages;
mod screens;
mod units;

zubi_lab::test_files!(docker, pages, units);
