//! The fingerprint reader of a whole system: fprintd as systemd starts it, with libfprint's virtual reader.

/// What gives fprintd's unit a reader. It is one with fprintd, which must stay where nobody touches it: its prints would be gone.
pub const READER: &str = "\
[Service]
Environment=FP_VIRTUAL_DEVICE_STORAGE=/run/lab-reader/socket
ExecStart=
ExecStart=/usr/libexec/fprintd --no-timeout
RuntimeDirectory=lab-reader
";
/// A line of sh(1) that prints `b true` while somebody waits for a finger.
pub const FINGER_NEEDED: &str = "busctl get-property net.reactivated.Fprint /net/reactivated/Fprint/Device/0 \
    net.reactivated.Fprint.Device finger-needed";
/// A line of sh(1) that touches it, with the print behind it. The virtual reader hangs up when it has heard it.
pub const TOUCH_READER: &str = "perl -MIO::Socket::UNIX -e '$s = IO::Socket::UNIX->new(Peer => \"/run/lab-reader/socket\") or exit 1; \
    syswrite $s, \"SCAN $ARGV[0]\"; sysread $s, $x, 1'";
