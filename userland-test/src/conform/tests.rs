//! The list itself, and that the runner notices what is wrong.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use super::*;
use crate::device::ADAPTER;

const OWN: ([u8; 4], u16) = ([127, 0, 0, 1], 1);

fn everything() -> Vec<Case> {
    list(OWN.into()).into_iter().flat_map(|(_, cases)| cases).collect()
}

#[test]
fn names_are_unique_and_every_case_does_something() {
    let mut names: Vec<String> = everything()
        .into_iter()
        .map(|case| {
            assert!(!matches!(&case.body, Body::Steps(steps) if steps.len() < 2), "{}", case.name);
            case.name
        })
        .collect();
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all);
    assert!(all > 150, "{all}");
}

/// A device that answers everything with one status, and counts its open files.
#[derive(Default)]
struct Stub {
    open: Arc<AtomicI32>,
    answer: u32,
}

struct StubFile {
    open: Arc<AtomicI32>,
    answer: u32,
}

struct StubAnswer(u32);

impl Target for Stub {
    fn open(&self, _: &str) -> io::Result<Result<Box<dyn File>, NtStatus>> {
        self.open.fetch_add(1, Ordering::Relaxed);
        Ok(Ok(Box::new(StubFile { open: self.open.clone(), answer: self.answer })))
    }
}

impl File for StubFile {
    fn start(&self, _: Request<'_>) -> io::Result<Box<dyn Pending>> {
        Ok(Box::new(StubAnswer(self.answer)))
    }

    fn close(&self) -> io::Result<NtStatus> {
        self.open.fetch_sub(1, Ordering::Relaxed);
        Ok(NtStatus::SUCCESS)
    }
}

impl Pending for StubAnswer {
    fn wait(&mut self, _: Duration) -> io::Result<Option<Completion>> {
        Ok(Some(Completion { status: NtStatus(self.0), information: 0, output: Vec::new(), spilled: false }))
    }

    fn cancel(&mut self) -> io::Result<NtStatus> {
        Ok(NtStatus(0xC000_0225))
    }
}

#[test]
fn a_wrong_status_is_told_with_its_step_and_files_are_closed() {
    let stub = Stub { answer: 0xC000_0017, ..Stub::default() };
    let steps = vec![Step::Open(ADAPTER, NtStatus::SUCCESS), Step::Write(vec![1], Expected::DONE), Step::Close];
    let problem = run_steps(&stub, &steps).expect_err("it fails");
    assert_eq!(problem, "step 2 of 3, write of 1 bytes: expected SUCCESS with 0 bytes, got NO_MEMORY with 0 bytes []");
    assert_eq!(stub.open.load(Ordering::Relaxed), 0);
}

fn bench(target: &dyn Target) -> Bench<'_> {
    Bench { target, own: OWN.into(), depth: 2, seconds: Duration::from_millis(10) }
}

#[test]
fn a_device_that_agrees_to_everything_fails_most_cases() {
    let stub = Stub::default();
    let all: Vec<Case> = everything().into_iter().filter(|case| matches!(case.body, Body::Steps(_))).collect();
    let failed = |case: &&Case| matches!(run_case(&bench(&stub), case), Verdict::Failed(_));
    let wrong = all.iter().filter(failed).count();
    assert!(wrong * 2 > all.len(), "{wrong} of {}", all.len());
    assert_eq!(stub.open.load(Ordering::Relaxed), 0);
}
