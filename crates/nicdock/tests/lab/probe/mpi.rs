//! A small MPI program, by whatever OpenMPI is installed: nothing of it is needed to build it.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::io;
use std::ptr::null_mut;

/// OpenMPI 4's ABI (libopenmpi3 of Debian 12): handles are the addresses of these symbols (mpi.h).
const LIBRARY: &CStr = c"libmpi.so.40";

type Init = unsafe extern "C" fn(*mut c_int, *mut *mut *mut c_char) -> c_int;
type Ask = unsafe extern "C" fn(*mut c_void, *mut c_int) -> c_int;
type Reduce =
    unsafe extern "C" fn(*const c_void, *mut c_void, c_int, *mut c_void, *mut c_void, *mut c_void) -> c_int;
type Finalize = unsafe extern "C" fn() -> c_int;

/// Enough to go by every path that OpenMPI has for large messages.
const NUMBERS: usize = 100_000;

/// Adds up numbers of all ranks and prints what came out.
pub fn run() -> io::Result<()> {
    // SAFETY: the library's constructors are those of a plain shared library.
    let library = unsafe { libc::dlopen(LIBRARY.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
    let symbol = |name: &CStr| {
        // SAFETY: the library is open, or null, which finds nothing.
        let found =
            if library.is_null() { null_mut() } else { unsafe { libc::dlsym(library, name.as_ptr()) } };
        if found.is_null() {
            return Err(io::Error::other(format!("{LIBRARY:?} or its {name:?} cannot be had")));
        }
        Ok(found)
    };
    let (world, int, sum) =
        (symbol(c"ompi_mpi_comm_world")?, symbol(c"ompi_mpi_int")?, symbol(c"ompi_mpi_op_sum")?);
    // SAFETY: these are the functions' types in mpi.h.
    let (begin, rank_of, size_of, reduce, finalize) = unsafe {
        (
            std::mem::transmute::<*mut c_void, Init>(symbol(c"MPI_Init")?),
            std::mem::transmute::<*mut c_void, Ask>(symbol(c"MPI_Comm_rank")?),
            std::mem::transmute::<*mut c_void, Ask>(symbol(c"MPI_Comm_size")?),
            std::mem::transmute::<*mut c_void, Reduce>(symbol(c"MPI_Allreduce")?),
            std::mem::transmute::<*mut c_void, Finalize>(symbol(c"MPI_Finalize")?),
        )
    };
    let (mut rank, mut size) = (0, 0);
    // SAFETY: MPI allows null for arguments that are not given; the numbers are written where they live.
    unsafe {
        begin(null_mut(), null_mut());
        rank_of(world, &raw mut rank);
        size_of(world, &raw mut size);
    }
    let (ours, mut all) = (vec![rank + 1; NUMBERS], vec![0; NUMBERS]);
    let count = c_int::try_from(NUMBERS).expect("a small number");
    // SAFETY: both vectors hold so many ints; nothing of MPI is used after its end.
    unsafe {
        reduce(ours.as_ptr().cast(), all.as_mut_ptr().cast(), count, int, sum, world);
        finalize();
    }
    let same = all.iter().all(|number| *number == all[0]);
    println!("rank {rank} of {size}: sum {}{}", all[0], if same { "" } else { " and others" });
    Ok(())
}
