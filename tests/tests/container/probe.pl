# Tries what hellod has no reason to do, and says what it may.
use Socket; $| = 1;
sub try { my ($what, $may) = @_; print "$what: ", ($may ? "may\n" : "may not ($!)\n"); }
my $state = -w "/var/lib/hellod" ? "/var/lib/hellod" : "/tmp";
try("look into homes", opendir(my $home, "/home/bob"));
try("open the network", socket(my $inet, PF_INET, SOCK_STREAM, 0));
try("ask the kernel by netlink", socket(my $netlink, 16, SOCK_RAW, 0));
try("open another device", sysopen(my $device, "/dev/lab", 0));
try("run other programs", system("/usr/bin/true") == 0);
open(my $program, ">", "$state/program"); print $program "#!/usr/bin/perl\nexit 0;\n"; close $program;
chmod 0700, "$state/program";
try("run what it wrote", system("$state/program") == 0);
unlink "$state/program";
try("map memory to write and run", syscall(9, 0, 4096, 7, 0x22, -1, 0) != -1);
try("make namespaces", syscall(272, 0x10000000) == 0);
try("see shared temporary files", -e "/tmp/lab");
try("keep state", open(my $kept, ">", "$state/probe"));
unlink "$state/probe";
try("speak to sockets", socket(my $local, PF_UNIX, SOCK_STREAM, 0));
try("be sent to the bus", connect($local, sockaddr_un("/run/dbus/system_bus_socket")));
