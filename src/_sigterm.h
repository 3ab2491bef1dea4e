/* A handler for SIGTERM that any thread may install, which Python's own may not: it tells a waiting
 * thread. Where there are no POSIX signals nothing is ever caught. */
#ifndef FT_SIGTERM_H
#define FT_SIGTERM_H

#ifndef _WIN32
#include <errno.h>
#include <signal.h>
#include <unistd.h>

/* For threads of ours to be started: signals, but for those that mean a crash, are not for them. A
 * handler in C might end the process there and then, in the middle of the sending. */
static void ft_signals_off(sigset_t *before)
{
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    sigset_t all;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
        sigdelset(&all, crashes[i]);
    pthread_sigmask(SIG_BLOCK, &all, before);
}

static void ft_signals_back(const sigset_t *before)
{
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

static PyThread_type_lock ft_sigterm_told; /* held; given back once, by the handler */
static pid_t ft_sigterm_pid;               /* the process that has the waiting thread */
static volatile sig_atomic_t ft_sigterm_came;

/* Only calls that are safe in a handler. PyThread_release_lock is a sem_post, or a mutex that no
 * thread holds which could be interrupted: the waiting thread has its signals blocked. */
static void ft_sigterm_handler(int signum)
{
    int saved = errno;
    if (getpid() != ft_sigterm_pid) { /* a forked child that has not traced anything */
        signal(signum, SIG_DFL);
        kill(getpid(), signum);
    }
    else if (!ft_sigterm_came) {
        ft_sigterm_came = 1;
        PyThread_release_lock(ft_sigterm_told);
    }
    errno = saved;
}

static int ft_sigterm_is(void (*handler)(int))
{
    struct sigaction now;
    return sigaction(SIGTERM, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) && now.sa_handler == handler;
}

/* Whether a handler may be installed: nobody but the one above is there, and it is not at work. */
static int ft_sigterm_is_free(void)
{
    int at_work = ft_sigterm_came && ft_sigterm_pid == getpid();
    return ft_sigterm_is(SIG_DFL) || (ft_sigterm_is(ft_sigterm_handler) && !at_work);
}

/* Returns 1 if the signal is caught from now on, so that somebody has to wait. */
static int ft_sigterm_catch(void)
{
    struct sigaction ours;
    if (ft_sigterm_pid == getpid() || !ft_sigterm_is_free())
        return 0;
    if (ft_sigterm_told == NULL || ft_sigterm_pid != 0) /* a child may find the parent's in any state */
        ft_sigterm_told = PyThread_allocate_lock();
    if (ft_sigterm_told == NULL)
        return 0;
    PyThread_acquire_lock(ft_sigterm_told, NOWAIT_LOCK);
    ft_sigterm_pid = getpid();
    ft_sigterm_came = 0;
    ours.sa_handler = ft_sigterm_handler;
    ours.sa_flags = SA_RESTART;
    sigemptyset(&ours.sa_mask);
    return sigaction(SIGTERM, &ours, NULL) == 0;
}

/* Called by the waiting thread, which handles no signals itself (see thread.pxi). */
static void ft_sigterm_wait(void)
{
    PyThread_acquire_lock(ft_sigterm_told, WAIT_LOCK);
}

/* Gives the signal its default effect again, and that effect at once if it came; only if no other
 * handler has taken the place of ours. */
static void ft_sigterm_end(void)
{
    if (ft_sigterm_pid != getpid() || !ft_sigterm_is(ft_sigterm_handler))
        return;
    signal(SIGTERM, SIG_DFL);
    if (ft_sigterm_came)
        kill(getpid(), SIGTERM);
}
#else
typedef int sigset_t;
static void ft_signals_off(sigset_t *before) { *before = 0; }
static void ft_signals_back(const sigset_t *before) { (void)before; }
static int ft_sigterm_is_free(void) { return 1; }
static int ft_sigterm_catch(void) { return 0; }
static void ft_sigterm_wait(void) {}
static void ft_sigterm_end(void) {}
#endif

#endif
