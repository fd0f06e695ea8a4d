//! A bastion: a real sshd of our own on a port of the loopback address, with its own keys and configuration, that ends
//! with its guard.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use walpilot::connection::settings::Tunnel;

/// A running sshd.
pub struct Bastion {
    sshd: Child,
    dir: tempfile::TempDir,
    port: u16,
}

impl Drop for Bastion {
    fn drop(&mut self) {
        let _ = self.sshd.kill();
        let _ = self.sshd.wait();
    }
}

impl Bastion {
    /// Starts one whose configuration begins with these lines, and that the client's `known_hosts` knows.
    pub fn start(first: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["host", "user", "stranger"] {
            keygen(&dir.path().join(name));
        }
        let file = |name: &str| dir.path().join(name).display().to_string();
        fs::copy(dir.path().join("user.pub"), dir.path().join("authorized")).expect("the user's key");
        // As root sshd insists on an empty directory to lock its unprivileged half into.
        if fs::metadata("/proc/self").is_ok_and(|it| std::os::unix::fs::MetadataExt::uid(&it) == 0) {
            fs::create_dir_all("/run/sshd").expect("/run/sshd");
        }
        for _ in 0..5 {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
            let port = free.local_addr().expect("its address").port();
            drop(free);
            let config = format!(
                "{first}\nPort {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
                 StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n",
                file("host"),
                file("authorized")
            );
            fs::write(dir.path().join("sshd_config"), config).expect("sshd_config");
            let mut sshd = Command::new("/usr/sbin/sshd");
            sshd.args(["-D", "-e", "-f", &file("sshd_config")]).stdin(Stdio::null()).stderr(Stdio::piped());
            let mut sshd = sshd.spawn().expect("sshd is installed (make deps: openssh-server)");
            let mut log = BufReader::new(sshd.stderr.take().expect("its log"));
            let mut said = String::new();
            while log.read_line(&mut said).expect("its log") > 0 && !said.contains("Server listening") {}
            if !said.contains("Server listening") {
                assert!(said.contains("Address already in use"), "{said}");
                continue;
            }
            // Somebody has to read on, or sshd stops when the pipe is full.
            std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
            let bastion = Self { sshd, dir, port };
            bastion.knows(&[("", "host")]);
            let client = format!(
                "Host nested\n HostName 127.0.0.1\n Port {port}\nHost *\n UserKnownHostsFile {}\n \
                 GlobalKnownHostsFile /dev/null\n IdentitiesOnly yes\n IdentityFile {}\n",
                file_in(bastion.dir.path(), "known_hosts"),
                file_in(bastion.dir.path(), "user")
            );
            fs::write(bastion.config(), client).expect("the client's configuration");
            return bastion;
        }
        panic!("no free port for sshd");
    }

    /// Replaces the client's `known_hosts`: markers such as `@revoked`, and which key the bastion is said to have.
    pub fn knows(&self, keys: &[(&str, &str)]) {
        let mut file = fs::File::create(self.dir.path().join("known_hosts")).expect("known_hosts");
        for (marker, key) in keys {
            let key = fs::read_to_string(self.dir.path().join(key).with_extension("pub")).expect("a key");
            writeln!(file, "{marker} [127.0.0.1]:{} {}", self.port, key.trim()).expect("known_hosts");
        }
    }

    /// What the client's `known_hosts` says now.
    pub fn known(&self) -> String {
        fs::read_to_string(self.dir.path().join("known_hosts")).expect("known_hosts")
    }

    /// The fingerprint of a key, as ssh shows it.
    pub fn fingerprint(&self, name: &str) -> String {
        let output = Command::new("ssh-keygen").arg("-lf").arg(self.key(name).with_extension("pub")).output();
        let text = String::from_utf8(output.expect("ssh-keygen").stdout).expect("UTF-8");
        text.split_whitespace().nth(1).expect("a fingerprint").to_owned()
    }

    /// The user's key once more, behind a passphrase; without it the client's own configuration no longer logs in.
    pub fn locked_key(&self, passphrase: &str) -> PathBuf {
        let key = self.key("locked");
        if !key.exists() {
            fs::copy(self.key("user"), &key).expect("a copy");
            fs::copy(self.key("user.pub"), self.key("locked.pub")).expect("a copy");
            let mut command = Command::new("ssh-keygen");
            command.args(["-q", "-p", "-P", "", "-N", passphrase, "-f"]).arg(&key);
            assert!(command.status().expect("ssh-keygen").success());
            fs::copy(self.key("stranger"), self.key("user")).expect("another key");
        }
        key
    }

    /// The client's configuration file.
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("ssh_config")
    }

    /// The file of a key: `user` may log in, `stranger` may not.
    pub fn key(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The port of sshd.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How walpilot goes through it.
    pub fn tunnel(&self) -> Tunnel {
        Tunnel {
            destination: "127.0.0.1".to_owned(),
            port: Some(self.port),
            identity: Some(self.key("user")),
            jump: None,
            config: Some(self.config()),
        }
    }

    /// How many clients run that were started with this bastion's configuration.
    pub fn clients(&self) -> usize {
        let config = self.config().display().to_string();
        let processes = fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
        processes
            .filter_map(|process| fs::read(process.path().join("cmdline")).ok())
            .filter(|line| line.starts_with(b"ssh\0") && String::from_utf8_lossy(line).contains(&config))
            .count()
    }
}

fn file_in(dir: &Path, name: &str) -> String {
    dir.join(name).display().to_string()
}

fn keygen(file: &Path) {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"]).arg(file);
    assert!(command.status().expect("ssh-keygen").success());
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("rights of a key");
}
