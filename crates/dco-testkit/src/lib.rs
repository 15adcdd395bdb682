//! Two ends, a faulty link and a virtual clock; reference models.
//!
//! For tests and benches only; it uses `std` and panics where a test should fail. [`Pair`] drives two real devices;
//! [`model`] says independently what they should have done, [`world`] compares the two; [`many_model`] and [`many`] do the same for a
//! device with several peers; and [`packet`] builds inner packets with their checksums computed from scratch. [`epoch_model`] is an end with an epoch key. None of the models uses anything of `dco-core`, `dco-crypto` or `dco-wire`.
#![forbid(unsafe_code)]

pub mod aead;
pub mod epoch_model;
pub mod link;
pub mod many;
pub mod many_model;
pub mod model;
pub mod packet;
pub mod pair;
pub mod random;
pub mod world;

pub use aead::TestAead;
pub use link::{Faults, Link};
pub use packet::PacketSpec;
pub use pair::{KeySpec, Pair, Side};
pub use random::Random;
