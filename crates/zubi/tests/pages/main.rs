//! The pages for users: their screens, their names of tests, their links.

mod first_page;
mod pages;
mod screens;

zubi_lab::test_files!(first_page, pages);
