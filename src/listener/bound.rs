//! What is listened on.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::task::Poll;

use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream, lookup_host};
use tracing::warn;

use super::stream::Stream;
use crate::config::Listen;
use crate::telemetry;

/// Who may connect to a socket in the file system: its owner and the group.
const UNIX_MODE: u32 = 0o660;

/// Connections that the system may hold until they are accepted; it cuts this to what it allows.
const BACKLOG: i32 = 1024;

/// Who calls by a socket in the file system is on this machine.
const LOCAL_PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// An address that is listened on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Sockets that listen: one, or one for each address of a name.
#[derive(Debug)]
pub struct Bound {
    sockets: Vec<Listening>,
    addresses: Vec<Address>,
    /// Whose turn it is to be looked at first.
    turn: usize,
}

#[derive(Debug)]
enum Listening {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        /// Removed when it is dropped.
        _file: SocketFile,
    },
}

/// What the system holds of an answer that it cannot send yet, in bytes. It would take megabytes, of which nobody could tell whether the
/// client takes them: it takes more when half of this is gone, so whoever takes as much within `limits.stall_timeout` does not stall. The
/// system's own time-out (`TCP_USER_TIMEOUT`) is no substitute: it cuts off clients that take a little at a time.
const UNSENT_BYTES: u32 = 64 * 1024;

/// Has the system take no more of an answer at once. Connections inherit it.
fn limit_unsent(listener: &TcpListener) {
    if let Err(cause) = SockRef::from(listener).set_tcp_notsent_lowat(UNSENT_BYTES) {
        warn!(error = telemetry::explain(&cause), "the system takes as much of an answer at once as it likes");
    }
}

impl Bound {
    /// Listens. A name is resolved, and all its addresses are listened on, less those of a family that the machine does not have; port 0
    /// takes a free one, the same for all. A socket in the file system is replaced when nobody listens on it any more. With `only_local`, all
    /// addresses must be of the loopback.
    ///
    /// # Errors
    /// The system's; that a name has no address; that the path is another kind of file.
    pub async fn bind(listen: &Listen, only_local: bool) -> io::Result<Self> {
        match listen {
            Listen::Address(address) => Self::bind_all(&[*address]).await,
            Listen::Name { host, port } => {
                let mut addresses: Vec<SocketAddr> = Vec::new();
                for address in lookup_host((host.as_str(), *port)).await? {
                    if only_local && !address.ip().is_loopback() {
                        let sentence =
                            format!("it resolves to {}, which other machines reach, and nothing checks who asks", address.ip());
                        return Err(io::Error::new(io::ErrorKind::PermissionDenied, sentence));
                    }
                    if !addresses.contains(&address) {
                        addresses.push(address);
                    }
                }
                // What most clients try first.
                addresses.sort_by_key(SocketAddr::is_ipv6);
                Self::bind_all(&addresses).await
            }
            Listen::Unix(path) => {
                let (listener, file) = listen_on_path(path)?;
                let addresses = vec![Address::Unix(path.clone())];
                Ok(Self { sockets: vec![Listening::Unix { listener, _file: file }], addresses, turn: 0 })
            }
        }
    }

    async fn bind_all(wanted: &[SocketAddr]) -> io::Result<Self> {
        let mut bound = Self { sockets: Vec::new(), addresses: Vec::new(), turn: 0 };
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        let mut free_port = None;
        for &(mut address) in wanted {
            if let (0, Some(port)) = (address.port(), free_port) {
                address.set_port(port);
            }
            match TcpListener::bind(address).await {
                Ok(listener) => {
                    limit_unsent(&listener);
                    let address = listener.local_addr()?;
                    free_port = Some(address.port());
                    bound.addresses.push(Address::Tcp(address));
                    bound.sockets.push(Listening::Tcp(listener));
                }
                // A family that this machine does not have.
                Err(cause) if matches!(cause.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported) => {
                    failure = cause;
                }
                Err(cause) => return Err(cause),
            }
        }
        if bound.sockets.is_empty() { Err(failure) } else { Ok(bound) }
    }

    /// The addresses; at least one.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Stops listening, and gives what had connected by then and was not accepted: the system would reset it, and with it the requests that
    /// its clients have sent already.
    pub(super) fn close(self) -> Vec<(Stream, SocketAddr)> {
        let mut waiting = Vec::new();
        for socket in self.sockets {
            // Past what the runtime knows: who has come in this moment, it will be told later.
            match socket {
                Listening::Tcp(listener) => {
                    let Ok(listener) = listener.into_std() else { continue };
                    waiting.extend(all_waiting(|| listener.accept()).filter_map(|(stream, peer)| {
                        stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true)).ok()?;
                        Some((Stream::Tcp(TcpStream::from_std(stream).ok()?), peer))
                    }));
                }
                Listening::Unix { listener, _file } => {
                    let Ok(listener) = listener.into_std() else { continue };
                    waiting.extend(all_waiting(|| listener.accept()).filter_map(|(stream, _)| {
                        stream.set_nonblocking(true).ok()?;
                        Some((Stream::Unix(UnixStream::from_std(stream).ok()?), LOCAL_PEER))
                    }));
                }
            }
        }
        waiting
    }

    /// The next connection on any of them.
    pub(super) async fn accept(&mut self) -> io::Result<(Stream, SocketAddr)> {
        poll_fn(|context| {
            let count = self.sockets.len();
            for step in 0..count {
                let place = (self.turn + step) % count;
                let accepted = match &self.sockets[place] {
                    Listening::Tcp(listener) => listener.poll_accept(context).map_ok(|(stream, peer)| {
                        if let Err(cause) = stream.set_nodelay(true) {
                            warn!(error = telemetry::explain(&cause), "a connection keeps its small-packet delay");
                        }
                        (Stream::Tcp(stream), peer)
                    }),
                    Listening::Unix { listener, .. } => {
                        listener.poll_accept(context).map_ok(|(stream, _)| (Stream::Unix(stream), LOCAL_PEER))
                    }
                };
                if accepted.is_ready() {
                    self.turn = place + 1;
                    return accepted;
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Everything that can be accepted at once. No more than the system holds: where connections come faster than they are accepted, some are left.
fn all_waiting<T>(mut accept: impl FnMut() -> io::Result<T>) -> impl Iterator<Item = T> {
    (0..BACKLOG).map_while(move |_| accept().ok())
}

/// A socket's file, which goes with it.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// The device and the inode: by these it is known to be still this one.
    identity: Option<(u64, u64)>,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_some() && identity_of(&self.path) == self.identity {
            // Its lack is what is wanted.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity_of(path: &Path) -> Option<(u64, u64)> {
    let found = std::fs::symlink_metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

fn listen_on_path(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    remove_stale(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = SocketFile { path: path.to_owned(), identity: identity_of(path) };
    // Before anybody can connect.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(UNIX_MODE))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok((UnixListener::from_std(socket.into())?, file))
}

/// Removes the socket of a process that is gone. Nothing else is ever removed.
fn remove_stale(path: &Path) -> io::Result<()> {
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(cause),
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the file is there and is no socket"));
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // One that listens but has no room at the moment is not waited for.
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => Err(io::ErrorKind::AddrInUse.into()),
        Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => Err(io::ErrorKind::AddrInUse.into()),
        Err(cause) if cause.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        // Somebody else was quicker.
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_is_listened_on_at_all_its_addresses_with_one_port() {
        let bound = Bound::bind(&"localhost:0".parse().unwrap(), true).await.unwrap();
        let ports: Vec<_> = bound
            .addresses()
            .iter()
            .map(|address| match address {
                Address::Tcp(address) if address.ip().is_loopback() => address.port(),
                other => panic!("{other}"),
            })
            .collect();
        assert!(ports[0] != 0 && ports.iter().all(|port| *port == ports[0]), "{ports:?}");
        let taken: Listen = bound.addresses()[0].to_string().parse().unwrap();
        assert_eq!(Bound::bind(&taken, true).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        Bound::bind(&"no-such-host.invalid:0".parse().unwrap(), true).await.unwrap_err();
    }

    #[tokio::test]
    async fn a_socket_in_the_file_system_is_for_owner_and_group_and_goes_with_its_listener() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listen = Listen::Unix(path.clone());
        let bound = Bound::bind(&listen, true).await.unwrap();
        let metadata = std::fs::symlink_metadata(&path).unwrap();
        assert_eq!((metadata.permissions().mode() & 0o7777, metadata.file_type().is_socket()), (0o660, true));
        assert_eq!(Bound::bind(&listen, true).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(bound);
        assert!(!path.exists());

        // One that nobody listens on any more.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let first = Bound::bind(&listen, true).await.unwrap();
        // Somebody else took the path: it is no longer ours to remove.
        std::fs::remove_file(&path).unwrap();
        let _other = std::os::unix::net::UnixListener::bind(&path).unwrap();
        drop(first);
        assert!(path.exists());
    }

    #[tokio::test]
    async fn who_has_connected_when_it_closes_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        for listen in [Listen::Unix(path.clone()), "localhost:0".parse().unwrap()] {
            let bound = Bound::bind(&listen, true).await.unwrap();
            let mut clients: Vec<Box<dyn std::io::Read>> = Vec::new();
            for address in bound.addresses() {
                for _ in 0..3 {
                    match address {
                        Address::Tcp(address) => clients.push(Box::new(std::net::TcpStream::connect(address).unwrap())),
                        Address::Unix(path) => clients.push(Box::new(std::os::unix::net::UnixStream::connect(path).unwrap())),
                    }
                }
            }
            // Nothing was awaited since they came, so the runtime knows of none.
            let waiting = bound.close();
            assert_eq!(waiting.len(), clients.len());
            drop(waiting);
            for mut client in clients {
                assert_eq!(client.read(&mut [0]).unwrap(), 0, "an end in order");
            }
        }
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn no_other_kind_of_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "precious").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        for path in [&path, &link, &folder.path().to_owned()] {
            let error = Bound::bind(&Listen::Unix(path.clone()), true).await.unwrap_err();
            assert_eq!(error.to_string(), "the file is there and is no socket");
        }
        assert_eq!(std::fs::read_to_string(&link).unwrap(), "precious");
    }
}
