"""System calls a strategy never needs, by the harm each group could do. All answer EPERM."""

_GROUPS = {
    "network": """
        socket socketpair connect bind listen accept accept4 sendto sendmsg sendmmsg recvfrom recvmsg recvmmsg
        shutdown setsockopt""",
    "processes": """
        execve execveat fork vfork kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_open pidfd_getfd
        pidfd_send_signal ptrace process_vm_readv process_vm_writev process_madvise kcmp setsid setpgid""",
    "wide kernel surfaces": """
        io_uring_setup io_uring_enter io_uring_register io_setup io_submit bpf perf_event_open userfaultfd keyctl
        add_key request_key splice tee vmsplice inotify_init inotify_init1 inotify_add_watch fanotify_init
        fanotify_mark iopl ioperm modify_ldt timer_create""",
    "mounts and namespaces": """
        mount umount2 move_mount open_tree fsopen fsmount fsconfig fspick mount_setattr pivot_root chroot unshare
        setns quotactl""",
    "the machine": """
        init_module finit_module delete_module kexec_load kexec_file_load reboot swapon swapoff settimeofday
        clock_settime clock_adjtime adjtimex sethostname setdomainname syslog acct""",
    "files": """
        open_by_handle_at name_to_handle_at creat truncate ftruncate fallocate rename renameat renameat2 link linkat
        symlink symlinkat unlink unlinkat rmdir mkdir mkdirat mknod mknodat chmod fchmod fchmodat fchmodat2 chown
        fchown fchownat lchown setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr utime utimes
        utimensat futimesat""",
    "shared memory and queues": """
        memfd_create memfd_secret shmget shmat shmctl msgget msgsnd msgrcv semget semop semtimedop mq_open
        mq_unlink""",
    "its own limits and identity": """
        setuid setgid setreuid setregid setresuid setresgid setgroups setfsuid setfsgid capset setrlimit prlimit64
        setpriority sched_setscheduler sched_setattr sched_setparam sched_setaffinity ioprio_set prctl seccomp
        personality migrate_pages move_pages mbind set_mempolicy mlock mlock2 mlockall""",
}

DENIED_CALLS = tuple(" ".join(_GROUPS.values()).split())
