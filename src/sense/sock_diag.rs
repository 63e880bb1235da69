//! The cgroup in which a listening socket was made, which the kernel tells everybody of anybody's socket.
//!
//! Owns the netlink socket of sock_diag(7) and the bytes that go over it; a cgroup is a number here.
//! The kernel writes these bytes, and they are read as if it did not: within bounds, each length checked.
//! Source of the formats: netlink(7), sock_diag(7), and include/uapi/linux/inet_diag.h of the kernel.

use std::time::Duration;

use rustix::{
    io,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink,
        netlink::SocketAddrNetlink,
        recvfrom, sendto, socket_with,
        sockopt::{Timeout, set_socket_timeout},
    },
};

/// The kernel answers while it is asked, so this is never waited for unless something is very wrong.
const PATIENCE: Duration = Duration::from_millis(200);

/// More than the kernel puts into one datagram, which is 32 KiB at most.
const MAX_DATAGRAM: usize = 64 * 1024;

/// Some hundreds of sockets that share one port.
const MAX_DATAGRAMS: usize = 8;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
const IPPROTO_TCP: u8 = 6;
const TCP_LISTEN: u32 = 10;
const INET_DIAG_CGROUP_ID: u16 = 21;

/// `struct nlmsghdr` and `struct inet_diag_req_v2`.
const REQUEST: usize = 16 + 56;

/// `struct inet_diag_msg`, which ends with the inode.
const MESSAGE: usize = 72;

/// The id of the cgroup in which the process was that made this socket, which listens on this port.
///
/// None where the kernel is older than 5.8 or built without it, where the sandbox lets nobody ask,
/// and where the socket is closed by now.
pub fn cgroup_id(port: u16, inode: u64) -> Option<u64> {
    [AddressFamily::INET, AddressFamily::INET6]
        .into_iter()
        .find_map(|family| ask(family, port, inode).ok()?)
}

fn ask(family: AddressFamily, port: u16, inode: u64) -> io::Result<Option<u64>> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
    let kernel = SocketAddrNetlink::new(0, 0);
    sendto(&socket, &request(family, port), SendFlags::empty(), &kernel)?;
    let mut buffer = vec![0; MAX_DATAGRAM];
    for _ in 0..MAX_DATAGRAMS {
        let (length, _, sender) = recvfrom(&socket, &mut *buffer, RecvFlags::empty())?;
        let sender = sender.and_then(|sender| SocketAddrNetlink::try_from(sender).ok());
        if sender != Some(kernel) {
            continue;
        }
        match answer(buffer.get(..length).unwrap_or_default(), inode) {
            Answer::Cgroup(id) => return Ok(Some(id)),
            Answer::GoesOn => {}
            Answer::Over => break,
        }
    }
    Ok(None)
}

/// All sockets of this family in LISTEN on this port.
fn request(family: AddressFamily, port: u16) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(REQUEST);
    let length = u32::try_from(REQUEST).unwrap_or_default();
    bytes.extend(length.to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend((NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    // Sequence number and port id: there is one question, and the kernel sees who asks.
    bytes.extend([0; 8]);
    // Neither AF_INET nor AF_INET6 is longer than a byte. No extension: the cgroup's id is not one.
    let family = u8::try_from(family.as_raw()).unwrap_or_default();
    bytes.extend([family, IPPROTO_TCP, 0, 0]);
    bytes.extend((1_u32 << TCP_LISTEN).to_ne_bytes());
    bytes.extend(port.to_be_bytes());
    // Neither the other port, nor addresses, interface or cookie.
    bytes.resize(REQUEST, 0);
    bytes
}

/// What one datagram has to say.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Cgroup(u64),
    GoesOn,
    /// The end of the list, an error, or nothing that can be understood.
    Over,
}

fn answer(datagram: &[u8], inode: u64) -> Answer {
    let mut rest = datagram;
    while !rest.is_empty() {
        let Some((message, behind)) = message(rest) else {
            return Answer::Over;
        };
        if let Some(id) = cgroup_of(message, inode) {
            return Answer::Cgroup(id);
        }
        rest = behind;
    }
    Answer::GoesOn
}

/// The content of the first message about a socket, and what comes behind it.
fn message(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = usize::try_from(u32::from_ne_bytes(array(bytes, 0)?)).ok()?;
    let kind = u16::from_ne_bytes(array(bytes, 4)?);
    let content = bytes.get(16..length)?;
    (kind == SOCK_DIAG_BY_FAMILY).then_some((content, behind(bytes, length)))
}

/// The cgroup's id in a message, if it is about this socket.
fn cgroup_of(message: &[u8], inode: u64) -> Option<u64> {
    let state = *message.get(1)?;
    let its_inode = u32::from_ne_bytes(array(message, MESSAGE - 4)?);
    if u32::from(state) != TCP_LISTEN || u64::from(its_inode) != inode {
        return None;
    }
    let mut rest = message.get(MESSAGE..)?;
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

    const INODE: u32 = 4711;
    const CGROUP: u64 = 0x1_0000_1234;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap();
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn message(kind: u16, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(16 + content.len()).unwrap();
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(content);
        bytes
    }

    /// What the kernel says of a socket in this state: its mark, a byte more than it needs, and its cgroup.
    fn socket(state: u8, inode: u32) -> Vec<u8> {
        let mut content = vec![2, state];
        content.resize(MESSAGE - 4, 0);
        content.extend(inode.to_ne_bytes());
        content.extend(attribute(15, &[1, 2, 3, 4, 5]));
        content.extend(attribute(INET_DIAG_CGROUP_ID, &CGROUP.to_ne_bytes()));
        message(SOCK_DIAG_BY_FAMILY, &content)
    }

    const LISTEN: u8 = 10;
    const DONE: u16 = 3;

    #[track_caller]
    fn check(datagram: &[Vec<u8>], expected: Answer) {
        assert_eq!(answer(&datagram.concat(), u64::from(INODE)), expected);
    }

    #[test]
    fn the_socket_is_found_among_others_that_share_its_port() {
        let others = [socket(LISTEN, 1), socket(1, INODE)];
        let [first, second] = others.clone();
        check(
            &[first, second, socket(LISTEN, INODE)],
            Answer::Cgroup(CGROUP),
        );
        check(&others, Answer::GoesOn);
        check(&[], Answer::GoesOn);
    }

    #[test]
    fn the_end_and_an_error_end_it() {
        for kind in [DONE, 2] {
            check(
                &[message(kind, &[0; 4]), socket(LISTEN, INODE)],
                Answer::Over,
            );
        }
    }

    #[test]
    fn a_kernel_that_does_not_say_the_cgroup_is_taken_at_its_word() {
        let content = socket(LISTEN, INODE);
        let without = message(SOCK_DIAG_BY_FAMILY, &content[16..16 + MESSAGE]);
        check(&[without, message(DONE, &[0; 4])], Answer::Over);
    }

    #[test]
    fn bytes_that_are_cut_off_or_lie_about_their_length_say_nothing() {
        let whole = socket(LISTEN, INODE);
        for length in 1..whole.len() {
            check(&[whole[..length].to_vec()], Answer::Over);
        }
        // The message's own length, and that of its first attribute.
        for at in [0, 16 + MESSAGE] {
            for lie in [0, 3, u16::MAX] {
                let mut bytes = whole.clone();
                bytes[at..at + 2].copy_from_slice(&lie.to_ne_bytes());
                let said = answer(&bytes, u64::from(INODE));
                assert!(!matches!(said, Answer::Cgroup(_)), "{said:?}");
            }
        }
        let short = attribute(INET_DIAG_CGROUP_ID, &[0; 4]);
        let content = [&whole[16..16 + MESSAGE], &short].concat();
        check(&[message(SOCK_DIAG_BY_FAMILY, &content)], Answer::GoesOn);
    }

    #[test]
    fn the_question_is_as_long_as_it_says() {
        let bytes = request(AddressFamily::INET6, 18789);
        assert_eq!(bytes.len(), REQUEST);
        assert_eq!(bytes[..4], 72_u32.to_ne_bytes());
        assert_eq!(bytes[16..18], [10, 6]);
        assert_eq!(bytes[24..26], [0x49, 0x65]);
    }
}
