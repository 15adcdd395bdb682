//! Two ends, a faulty link and a virtual clock; reference models.
#![no_std]
