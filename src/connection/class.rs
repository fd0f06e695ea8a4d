//! The classes of failure: stable names, the same in JSON reports, in the documentation and in tests.

use serde::Serialize;

/// The class of a failure to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the documentation; each has its sentence where it is explained")]
pub enum Class {
    // What was asked for can't be right.
    ConfigError,
    // Reaching the host.
    DnsFailure,
    Refused,
    Unreachable,
    Timeout,
    SocketMissing,
    SocketPermission,
    NotPostgres,
    ServerClosed,
    // TLS.
    TlsUnsupported,
    TlsVersion,
    TlsFailed,
    RootCertMissing,
    RootCertBad,
    CertUntrusted,
    CertExpired,
    CertNotYetValid,
    CertHostMismatch,
    CertWrongPurpose,
    CertWeakKey,
    CertRevoked,
    // The client's own certificate.
    ClientCertRequired,
    ClientCertRejected,
    ClientCertUserMismatch,
    ClientCertBad,
    ClientKeyMissing,
    ClientKeyPermissions,
    ClientKeyPassphrase,
    ClientKeyMismatch,
    ClientKeyFormat,
    // Authentication.
    CleartextRefused,
    PasswordMissing,
    PasswordWrong,
    ChannelBinding,
    NoPgHba,
    HbaReject,
    LdapFailed,
    PeerFailed,
    AuthMethodUnsupported,
    // What the server has and allows.
    RoleMissing,
    RoleNologin,
    DbMissing,
    DbNotAccepting,
    NoConnectPriv,
    TooManyConnections,
    CannotConnectNow,
    TargetSessionMismatch,
    PermissionDenied,
    // What stands in front of it.
    PoolerError,
    ProviderError,
    // The way through a bastion.
    SshMissing,
    SshHostKeyUnknown,
    SshHostKeyChanged,
    SshHostKeyRevoked,
    SshAuthFailed,
    SshDns,
    SshRefused,
    SshTimeout,
    SshForwardingForbidden,
    SshDbUnreachable,
    SshFailed,
    Cancelled,
    Other,
}

impl Class {
    /// Whether the server's certificate is what failed, so that the certificate itself is worth looking at.
    #[must_use]
    pub fn is_about_the_certificate(self) -> bool {
        matches!(
            self,
            Self::CertUntrusted
                | Self::CertExpired
                | Self::CertNotYetValid
                | Self::CertHostMismatch
                | Self::CertWrongPurpose
                | Self::CertWeakKey
                | Self::CertRevoked
        )
    }
}

/// A cause in words. Everything in it is safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The class.
    pub class: Class,
    /// One sentence that names the thing and what is wrong with it.
    pub message: String,
    /// The next step.
    pub remedy: String,
}

impl Explained {
    /// Puts the three together.
    pub fn new(class: Class, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { class, message: message.into(), remedy: remedy.into() }
    }
}
