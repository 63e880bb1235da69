//! The sockets that listen on a port, and the cgroup in which each was made, which the kernel says to everybody.
//!
//! Owns the netlink socket of sock_diag(7) and the bytes that go over it; a cgroup is a number here.
//! It asks for one port, where /proc/net/tcp lists every connection of the machine.
//! The kernel writes these bytes, and they are read as if it did not: within bounds, each length checked.
//! Source of the formats: netlink(7), sock_diag(7), and include/uapi/linux/inet_diag.h of the kernel.

use std::{
    cell::Cell,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::OwnedFd,
};

use rustix::{
    buffer::spare_capacity,
    io::{self, Errno},
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink,
        netlink::SocketAddrNetlink, recvfrom, sendto, socket_with,
    },
};

thread_local! {
    /// The socket that the last question went over, where that was answered to its end:
    /// nothing of it is left in there for the next one.
    static KEPT: Cell<Option<OwnedFd>> = const { Cell::new(None) };
}

/// More than the kernel puts into one datagram, which is 32 KiB at most.
const MAX_DATAGRAM: usize = 32 * 1024;

/// Some hundreds of sockets that share one port.
const MAX_DATAGRAMS: usize = 8;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const ENOENT: i32 = Errno::NOENT.raw_os_error();
/// The older question, which is answered for IPv4 and IPv6 at once, and so costs half as much.
const TCPDIAG_GETSOCK: u16 = 18;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_MULTI: u16 = 0x2;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_DUMP: u16 = 0x300;
const TCP_LISTEN: u8 = 10;
const INET_DIAG_CGROUP_ID: u16 = 21;

/// `struct nlmsghdr`.
const HEADER: usize = 16;

/// `struct nlmsghdr` and `struct inet_diag_req`.
const REQUEST: usize = HEADER + 60;

/// `struct inet_diag_msg`, which ends with the inode.
const MESSAGE: usize = 72;

/// A socket in LISTEN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// The address it is bound to, as the kernel has it: an IPv6 socket's is an IPv6 address.
    pub address: IpAddr,
    /// The user who made it.
    pub uid: u32,
    /// Its inode, which names it in /proc/PID/fd.
    pub inode: u64,
    /// Connections that nobody has accepted yet.
    pub recv_queue: u32,
    /// The id of the cgroup in which the process was that made it; none before Linux 5.8.
    pub cgroup: Option<u64>,
}

/// The sockets in LISTEN on this port, of all addresses and users.
///
/// # Errors
///
/// There is no socket diagnosis in this kernel, the sandbox lets nobody ask, or the answer was cut off,
/// interrupted or not understood: it says nothing then, and never means that nothing listens.
pub fn listening(port: u16) -> io::Result<Vec<Socket>> {
    let mut found = dump(port)?;
    // A kernel that does not filter by port would lead to another gateway.
    found.retain(|(its_port, _)| *its_port == port);
    Ok(found.into_iter().map(|(_, socket)| socket).collect())
}

/// The sockets in LISTEN on all ports, each with its port.
///
/// # Errors
///
/// As [`listening`], and where there are more than some thousand of them.
pub fn listening_on_any_port() -> io::Result<Vec<(u16, Socket)>> {
    /// The kernel takes no port for all of them.
    const ANY: u16 = 0;
    dump(ANY)
}

/// The socket in LISTEN that takes connections to this address; none where nobody does.
///
/// It looks one socket up, where [`listening`] walks the kernel's table of them.
///
/// # Errors
///
/// As [`listening`].
pub fn listening_at(at: SocketAddr) -> io::Result<Option<Socket>> {
    let mut found = Vec::new();
    exchange(&request(at.port(), Some(at.ip())), &mut found)?;
    Ok(found.pop().map(|(_, socket)| socket))
}

fn dump(port: u16) -> io::Result<Vec<(u16, Socket)>> {
    let mut found = Vec::new();
    exchange(&request(port, None), &mut found)?;
    Ok(found)
}

fn exchange(request: &[u8], found: &mut Vec<(u16, Socket)>) -> io::Result<()> {
    let socket = match KEPT.take() {
        Some(socket) => socket,
        None => socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(netlink::SOCK_DIAG),
        )?,
    };
    // An answer is some hundred bytes, and memory that is never written to costs nothing.
    let mut buffer = Vec::with_capacity(MAX_DATAGRAM);
    let kernel = SocketAddrNetlink::new(0, 0);
    sendto(&socket, request, SendFlags::empty(), &kernel)?;
    for _ in 0..MAX_DATAGRAMS {
        buffer.clear();
        // The kernel answers while it is asked; nobody waits for it.
        let flags = RecvFlags::TRUNC | RecvFlags::DONTWAIT;
        let (_, length, sender) = recvfrom(&socket, spare_capacity(&mut buffer), flags)?;
        let sender = sender.and_then(|sender| SocketAddrNetlink::try_from(sender).ok());
        if sender != Some(kernel) {
            continue;
        }
        let datagram = buffer.get(..length).ok_or(Errno::MSGSIZE)?;
        if read(datagram, found).ok_or(Errno::BADMSG)? {
            KEPT.set(Some(socket));
            return Ok(());
        }
    }
    Err(Errno::MSGSIZE)
}

/// All sockets in LISTEN on this port, or the one that takes connections to this address of it.
fn request(port: u16, address: Option<IpAddr>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(REQUEST);
    let length = u32::try_from(REQUEST).unwrap_or_default();
    bytes.extend(length.to_ne_bytes());
    bytes.extend(TCPDIAG_GETSOCK.to_ne_bytes());
    let all = address.map_or(NLM_F_DUMP, |_| 0);
    bytes.extend((NLM_F_REQUEST | all).to_ne_bytes());
    // Sequence number and port id: one question is asked at a time, and the kernel sees who asks.
    bytes.extend([0; 8]);
    // The family of an address. No extension: the cgroup's id is not one.
    let family = address.map_or(0, |address| match address {
        IpAddr::V4(_) => AddressFamily::INET.as_raw(),
        IpAddr::V6(_) => AddressFamily::INET6.as_raw(),
    });
    bytes.push(u8::try_from(family).unwrap_or_default());
    bytes.extend([0; 3]);
    bytes.extend(port.to_be_bytes());
    // Not the other port.
    bytes.extend([0; 2]);
    match address {
        Some(IpAddr::V4(address)) => bytes.extend(address.octets()),
        Some(IpAddr::V6(address)) => bytes.extend(address.octets()),
        None => {}
    }
    // Neither the other address nor an interface.
    bytes.resize(REQUEST - 16, 0);
    // All bits for whatever cookie the one socket has; of all sockets none is looked at.
    bytes.resize(REQUEST - 8, address.map_or(0, |_| u8::MAX));
    bytes.extend((1_u32 << TCP_LISTEN).to_ne_bytes());
    bytes.resize(REQUEST, 0);
    bytes
}

/// Adds the sockets of one datagram, each with its port, and says whether the list ends with it.
///
/// None where it is an error, the list changed while it was made, or it cannot be understood.
fn read(datagram: &[u8], found: &mut Vec<(u16, Socket)>) -> Option<bool> {
    let mut rest = datagram;
    while !rest.is_empty() {
        let length = usize::try_from(u32::from_ne_bytes(array(rest, 0)?)).ok()?;
        let kind = u16::from_ne_bytes(array(rest, 4)?);
        let flags = u16::from_ne_bytes(array(rest, 6)?);
        let content = rest.get(HEADER..length)?;
        if flags & NLM_F_DUMP_INTR != 0 {
            return None;
        }
        match kind {
            NLMSG_DONE => {
                let error = content.first_chunk().map(|code| i32::from_ne_bytes(*code));
                return (error.unwrap_or_default() == 0).then_some(true);
            }
            TCPDIAG_GETSOCK => {
                found.extend(listener(content)?);
                // One that was looked up is all there is.
                if flags & NLM_F_MULTI == 0 {
                    return Some(true);
                }
            }
            // Nobody was found where one was looked up.
            NLMSG_ERROR if array(content, 0).map(i32::from_ne_bytes) == Some(-ENOENT) => {
                return Some(true);
            }
            _ => return None,
        }
        rest = behind(rest, length);
    }
    Some(false)
}

/// What a message says of a socket and its port; the inner none where it does not listen.
fn listener(message: &[u8]) -> Option<Option<(u16, Socket)>> {
    let [family, state] = array(message, 0)?;
    let source: [u8; 16] = array(message, 8)?;
    let address = if family == u8::try_from(AddressFamily::INET.as_raw()).ok()? {
        IpAddr::V4(Ipv4Addr::from(array::<4>(&source, 0)?))
    } else {
        IpAddr::V6(Ipv6Addr::from(source))
    };
    let socket = Socket {
        address,
        uid: u32::from_ne_bytes(array(message, 64)?),
        inode: u32::from_ne_bytes(array(message, 68)?).into(),
        recv_queue: u32::from_ne_bytes(array(message, 56)?),
        cgroup: cgroup(message.get(MESSAGE..)?),
    };
    let port = u16::from_be_bytes(array(message, 4)?);
    Some((state == TCP_LISTEN).then_some((port, socket)))
}

/// The cgroup's id among a message's attributes.
fn cgroup(attributes: &[u8]) -> Option<u64> {
    let mut rest = attributes;
    loop {
        let length = usize::from(u16::from_ne_bytes(array(rest, 0)?));
        let kind = u16::from_ne_bytes(array(rest, 2)?);
        let value = rest.get(4..length)?;
        if kind == INET_DIAG_CGROUP_ID {
            return value.try_into().ok().map(u64::from_ne_bytes);
        }
        rest = behind(rest, length);
    }
}

/// Messages and attributes begin at multiples of four; there is no need to fill up the last one.
fn behind(bytes: &[u8], length: usize) -> &[u8] {
    bytes.get(length.next_multiple_of(4)..).unwrap_or_default()
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        net::{TcpListener, TcpStream},
        os::fd::AsRawFd as _,
        slice,
    };

    const CGROUP: u64 = 0x1_0000_1234;
    const LISTEN: u8 = TCP_LISTEN;
    const ESTABLISHED: u8 = 1;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap();
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn message(kind: u16, flags: u16, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEADER + content.len()).unwrap();
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend([kind.to_ne_bytes(), flags.to_ne_bytes()].concat());
        bytes.extend([0; 8]);
        bytes.extend(content);
        bytes
    }

    /// What the kernel says of a socket of user 1001 on [::1]:18789 with three connections that wait:
    /// itself, its mark, a byte more than it needs, and its cgroup.
    fn content(state: u8, inode: u32) -> Vec<u8> {
        let mut content = vec![10, state, 0, 0];
        content.extend(18789_u16.to_be_bytes());
        content.extend([0; 2]);
        content.extend(Ipv6Addr::LOCALHOST.octets());
        content.resize(56, 0);
        for field in [3, 0, 1001, inode] {
            content.extend(field.to_ne_bytes());
        }
        assert_eq!(content.len(), MESSAGE);
        content.extend(attribute(15, &[1, 2, 3, 4, 5]));
        content.extend(attribute(INET_DIAG_CGROUP_ID, &CGROUP.to_ne_bytes()));
        content
    }

    fn socket(state: u8, inode: u32) -> Vec<u8> {
        message(TCPDIAG_GETSOCK, 0x2, &content(state, inode))
    }

    fn done() -> Vec<u8> {
        message(NLMSG_DONE, 0x2, &[0; 4])
    }

    /// Whether the list ends, and the inodes in it.
    #[track_caller]
    fn check(datagram: &[Vec<u8>], expected: Option<(bool, &[u64])>) {
        let mut found = Vec::new();
        let over = read(&datagram.concat(), &mut found);
        let inodes: Vec<u64> = found.iter().map(|(_, socket)| socket.inode).collect();
        let said = over.map(|over| (over, &*inodes));
        assert_eq!(said, expected);
    }

    #[test]
    fn all_that_the_kernel_says_of_a_listener_is_understood() {
        let mut found = Vec::new();
        assert_eq!(read(&socket(LISTEN, 4711), &mut found), Some(false));
        let socket = Socket {
            address: Ipv6Addr::LOCALHOST.into(),
            uid: 1001,
            inode: 4711,
            recv_queue: 3,
            cgroup: Some(CGROUP),
        };
        assert_eq!(found, [(18789, socket)]);
    }

    #[test]
    fn the_list_goes_on_until_the_kernel_ends_it() {
        let [one, other] = [socket(LISTEN, 1), socket(LISTEN, 2)];
        check(&[one.clone(), other.clone()], Some((false, &[1, 2])));
        check(&[one, other, done()], Some((true, &[1, 2])));
        check(&[done()], Some((true, &[])));
        check(&[], Some((false, &[])));
        check(&[socket(ESTABLISHED, 1), done()], Some((true, &[])));
    }

    #[test]
    fn an_error_never_means_that_nothing_listens() {
        check(&[message(2, 0, &[0; 4])], None);
        check(&[message(2, 0, &(-1_i32).to_ne_bytes())], None);
        check(&[message(2, 0, &[])], None);
        check(&[message(NLMSG_DONE, 0x2, &(-2_i32).to_ne_bytes())], None);
        let changed = message(TCPDIAG_GETSOCK, NLM_F_DUMP_INTR, &content(LISTEN, 1));
        check(&[changed, done()], None);
        check(&[message(NLMSG_DONE, NLM_F_DUMP_INTR, &[0; 4])], None);
    }

    #[test]
    fn a_kernel_that_does_not_say_the_cgroup_is_taken_at_its_word() {
        let without = message(TCPDIAG_GETSOCK, 0x2, &content(LISTEN, 1)[..MESSAGE]);
        let mut found = Vec::new();
        assert_eq!(read(&without, &mut found), Some(false));
        assert_eq!(found[0].1.cgroup, None);
    }

    #[test]
    fn bytes_that_are_cut_off_or_lie_about_their_length_say_nothing() {
        let whole = socket(LISTEN, 1);
        for length in 1..whole.len() {
            check(&[whole[..length].to_vec()], None);
        }
        for lie in [0, 3, u16::MAX] {
            let mut bytes = whole.clone();
            bytes[..2].copy_from_slice(&lie.to_ne_bytes());
            check(&[bytes], None);
            // Of an attribute only the cgroup is lost.
            let mut content = content(LISTEN, 1);
            content[MESSAGE..MESSAGE + 2].copy_from_slice(&lie.to_ne_bytes());
            let (_, socket) = listener(&content).unwrap().unwrap();
            assert_eq!((socket.inode, socket.cgroup), (1, None));
        }
        let short = attribute(INET_DIAG_CGROUP_ID, &[0; 4]);
        assert_eq!(cgroup(&short), None);
    }

    #[test]
    fn one_that_takes_connections_to_an_address_is_looked_up() {
        let here = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = here.local_addr().unwrap();
        let found = listening_at(at).unwrap().unwrap();
        assert_eq!(listening(at.port()).unwrap(), slice::from_ref(&found));
        assert_eq!((found.address, found.recv_queue), (at.ip(), 0));
        let _waiting = TcpStream::connect(at).unwrap();
        let queued = || listening_at(at).unwrap().unwrap().recv_queue;
        while queued() == 0 {
            std::thread::yield_now();
        }
        drop(here);
        assert_eq!(listening_at(at).unwrap(), None);
        // The wildcard address takes them as well.
        let all = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = all.local_addr().unwrap().port();
        let found = listening_at((Ipv4Addr::LOCALHOST, port).into()).unwrap();
        assert_eq!(
            found.map(|it| it.address),
            Some(Ipv4Addr::UNSPECIFIED.into())
        );
        check(&[message(2, 0, &(-2_i32).to_ne_bytes())], Some((true, &[])));
    }

    #[test]
    fn the_next_question_goes_over_the_same_socket_unless_the_last_one_failed() {
        let kept = || {
            let socket = KEPT.take();
            let it = socket.as_ref().map(|socket| socket.as_raw_fd());
            KEPT.set(socket);
            it
        };
        let here = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = here.local_addr().unwrap();
        assert_eq!(kept(), None);
        assert_eq!(listening(at.port()).unwrap().len(), 1);
        let first = kept();
        assert!(first.is_some());
        assert!(listening_at(at).unwrap().is_some());
        drop(here);
        assert_eq!(listening_at(at).unwrap(), None);
        assert_eq!(kept(), first);
        // The kernel answers with an error that says nothing.
        let mut bytes = request(at.port(), Some(at.ip()));
        bytes[16] = u8::MAX;
        assert!(exchange(&bytes, &mut Vec::new()).is_err());
        assert_eq!(kept(), None);
        assert_eq!(listening(at.port()).unwrap(), []);
    }

    #[test]
    fn the_question_is_as_long_as_it_says() {
        let one = request(18789, Some(Ipv4Addr::LOCALHOST.into()));
        assert_eq!((one.len(), one[6], one[7]), (REQUEST, 1, 0));
        assert_eq!(one[16..28], [2, 0, 0, 0, 0x49, 0x65, 0, 0, 127, 0, 0, 1]);
        assert_eq!(one[60..68], [u8::MAX; 8]);
        let bytes = request(18789, None);
        assert_eq!(bytes.len(), REQUEST);
        assert_eq!(bytes[..4], 76_u32.to_ne_bytes());
        assert_eq!(bytes[20..22], [0x49, 0x65]);
        assert_eq!(bytes[68..72], 0x400_u32.to_ne_bytes());
    }
}
