//! The rules of the house: what a compiler does not check and a reader relies on.
//!
//! Each file holds one family of rules, as data first and as a test below; each rule also has
//! a test which shows that it finds what it forbids. Nothing here looks at behaviour, and
//! nothing here depends on git: the files on the disk are what counts.

mod arrows;
mod manifests;
mod pages;
mod purity;
mod sizes;
mod sources;
mod words;
