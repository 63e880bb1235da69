//! The kernel and the C library's world: files, processes, sockets, clocks, signals, each behind one thin adapter.

pub mod boot_id;
pub mod cgroup;
pub mod child;
pub mod clock;
pub mod credentials;
pub mod fault;
pub mod files;
pub mod folders;
pub mod listeners;
pub mod lock;
pub mod main_thread;
pub mod own_files;
pub mod processes;
pub mod sock_diag;
pub mod state_file;
pub mod terminal;
pub mod tls;
pub mod user_folder;
pub mod wake;
pub mod wall_clock;
pub mod worker;
