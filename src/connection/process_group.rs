//! A process group that ends with walpilot, however walpilot ends.

use std::io;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

/// The process group of ssh and of what it starts for jump hosts. Its leader waits for walpilot's end, however that
/// comes (also SIGKILL), and then ends the group: ssh itself would wait for a server that says nothing.
pub(super) struct Group {
    leader: Child,
    /// The group's number.
    pub(super) id: Pid,
}

impl Group {
    /// Starts the leader.
    pub(super) fn lead() -> io::Result<Self> {
        let mut command = Command::new("/bin/sh");
        // Standard input ends when the last process that holds its other end is gone.
        command.args(["-c", "read -r _; kill -TERM 0"]).stdin(Stdio::piped());
        command.stdout(Stdio::null()).stderr(Stdio::null()).env_clear().process_group(0).kill_on_drop(true);
        let leader = command.spawn()?;
        let id = leader.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Ok(Self { id: id.ok_or(io::ErrorKind::NotFound)?, leader })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The leader is not waited for before this, so the number is still ours.
        let _ = kill_process_group(self.id, Signal::TERM);
        let _ = self.leader.start_kill();
    }
}
