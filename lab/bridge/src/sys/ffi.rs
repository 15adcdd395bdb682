//! Imports of Wine's ntoskrnl.exe, kernelbase.dll and ws2_32.dll. Names and types are theirs.
//!
//! kernelbase.dll and not kernel32.dll: a file that imports that one (or ntdll.dll) is no driver to Wine's loader,
//! which then calls its entry as a DllMain.
#![allow(non_snake_case, clippy::upper_case_acronyms)]

use core::ffi::c_void;

pub type PVOID = *mut c_void;
pub type Dispatch = unsafe extern "system" fn(device: PVOID, irp: PVOID) -> i32;
pub type Cancel = unsafe extern "system" fn(device: PVOID, irp: PVOID);
pub type Unload = unsafe extern "system" fn(driver: PVOID);
pub type ThreadMain = unsafe extern "system" fn(context: PVOID) -> u32;

#[repr(C)]
pub struct UNICODE_STRING {
    pub Length: u16,
    pub MaximumLength: u16,
    pub Buffer: *const u16,
}

#[repr(C)]
pub struct OBJECT_ATTRIBUTES {
    pub Length: u32,
    pub RootDirectory: PVOID,
    pub ObjectName: *const UNICODE_STRING,
    pub Attributes: u32,
    pub SecurityDescriptor: PVOID,
    pub SecurityQualityOfService: PVOID,
}

/// KEY_VALUE_PARTIAL_INFORMATION with room for a DWORD.
#[repr(C)]
#[derive(Default)]
pub struct DwordValue {
    pub TitleIndex: u32,
    pub Type: u32,
    pub DataLength: u32,
    pub Data: u32,
}

#[repr(C)]
pub struct SOCKADDR_IN {
    pub family: u16,
    pub port: [u8; 2],
    pub address: [u8; 4],
    pub zero: [u8; 8],
}

#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "C" {
    pub fn DbgPrint(format: *const u8, ...) -> i32;
}

#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    pub fn IoCreateDevice(
        driver: PVOID,
        extension: u32,
        name: *const UNICODE_STRING,
        kind: u32,
        characteristics: u32,
        exclusive: u8,
        device: *mut PVOID,
    ) -> i32;
    pub fn IoDeleteDevice(device: PVOID);
    pub fn IoCreateSymbolicLink(link: *const UNICODE_STRING, target: *const UNICODE_STRING) -> i32;
    pub fn IoDeleteSymbolicLink(link: *const UNICODE_STRING) -> i32;
    pub fn IofCompleteRequest(irp: PVOID, boost: i8);
    pub fn IoAcquireCancelSpinLock(irql: *mut u8);
    pub fn IoReleaseCancelSpinLock(irql: u8);
    pub fn ZwOpenKey(key: *mut PVOID, access: u32, attributes: *const OBJECT_ATTRIBUTES) -> i32;
    pub fn ZwQueryValueKey(
        key: PVOID,
        name: *const UNICODE_STRING,
        class: u32,
        value: *mut DwordValue,
        length: u32,
        needed: *mut u32,
    ) -> i32;
    pub fn ZwClose(handle: PVOID) -> i32;
}

#[link(name = "kernelbase.dll", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    pub fn GetProcessHeap() -> PVOID;
    pub fn HeapAlloc(heap: PVOID, flags: u32, size: usize) -> PVOID;
    pub fn HeapFree(heap: PVOID, flags: u32, block: PVOID) -> i32;
    pub fn ExitProcess(code: u32) -> !;
    pub fn CreateThread(
        security: PVOID,
        stack: usize,
        main: ThreadMain,
        context: PVOID,
        flags: u32,
        id: *mut u32,
    ) -> PVOID;
    pub fn WaitForSingleObject(handle: PVOID, milliseconds: u32) -> u32;
    pub fn CloseHandle(handle: PVOID) -> i32;
    pub fn AcquireSRWLockExclusive(lock: *mut PVOID);
    pub fn ReleaseSRWLockExclusive(lock: *mut PVOID);
    pub fn SleepConditionVariableSRW(condition: *mut PVOID, lock: *mut PVOID, milliseconds: u32, flags: u32) -> i32;
    pub fn WakeAllConditionVariable(condition: *mut PVOID);
}

#[link(name = "ws2_32.dll", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    pub fn WSAStartup(version: u16, data: *mut [u64; 64]) -> i32;
    pub fn WSACleanup() -> i32;
    pub fn WSAGetLastError() -> i32;
    pub fn socket(family: i32, kind: i32, protocol: i32) -> usize;
    pub fn connect(socket: usize, address: *const SOCKADDR_IN, length: i32) -> i32;
    pub fn setsockopt(socket: usize, level: i32, name: i32, value: *const u32, length: i32) -> i32;
    pub fn send(socket: usize, bytes: *const u8, length: i32, flags: i32) -> i32;
    pub fn recv(socket: usize, bytes: *mut u8, length: i32, flags: i32) -> i32;
    pub fn shutdown(socket: usize, how: i32) -> i32;
    pub fn closesocket(socket: usize) -> i32;
}
