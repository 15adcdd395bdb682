//! Each rule of the lab's is broken by a driver that breaks nothing else, and the lab has to stop with that rule's name.
//!
//! One test a family; `cargo test -p dco-lab --test rules kernel`. `RULES=pool. cargo test ...` runs the cases whose rule contains that.

mod cng;
#[path = "../cross/mod.rs"]
mod cross;
mod foreign;
mod harness;
mod images;
mod kernel;
mod netcx;
mod wdf;
mod wsk;

#[test]
fn the_harness_notices_what_is_wrong() {
    let leak = kernel::CASES.iter().find(|c| c.rule == "pool.leak").expect("the case of the leak");
    harness::notices(leak, "pool.double-free");
}

#[test]
fn kernel() {
    harness::hold("kernel", kernel::CASES);
}

#[test]
fn cng() {
    harness::hold("cng", cng::CASES);
}

#[test]
fn foreign() {
    harness::hold("foreign", foreign::CASES);
}

#[test]
fn wdf() {
    harness::hold("wdf", wdf::CASES);
}

#[test]
fn netcx() {
    harness::hold("netcx", netcx::CASES);
}

#[test]
fn wsk() {
    harness::hold("wsk", wsk::CASES);
}
