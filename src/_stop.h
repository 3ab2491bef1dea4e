/* Signals on which a server written in C ends the process at once, skipping its exit callbacks if a
 * request is running (uWSGI): the handler here tells a waiting thread, and when that has done its
 * work, or has had its time, the signal comes again and the server's handler gets it.
 * Where there are no POSIX signals nothing is ever caught. */
#ifndef FT_STOP_H
#define FT_STOP_H

#ifndef _WIN32
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define FT_STOP_SIGNALS 2
static const int ft_stop_signals[FT_STOP_SIGNALS] = {SIGINT, SIGTERM};
static struct sigaction ft_stop_before[FT_STOP_SIGNALS]; /* the server's, while ours are in place */
static PyThread_type_lock ft_stop_told;                  /* held; given back once, by the handler */
static pid_t ft_stop_pid;                                /* the process that has, or had, a waiting thread */
static int ft_stop_on;                                   /* whether it still has to end; atomic */
static volatile sig_atomic_t ft_stop_came;               /* the signal, 0: none yet */
static struct timespec ft_stop_limit;                    /* what the waiting thread may take */

/* Whether the server has yet to set the handlers of this worker, which has those of its master until
 * then. That is so while a worker of uWSGI loads the application itself; SIGUSR2 is one of them. */
static int ft_stop_is_early(void)
{
    struct sigaction now;
    return sigaction(SIGUSR2, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) && now.sa_handler == SIG_DFL;
}

/* Only calls that are safe in a handler; see ft_sigterm_handler. */
static void ft_stop_handler(int signum)
{
    int saved = errno;
    if (getpid() != ft_stop_pid) { /* a forked child, whose handlers are the server's business */
        for (int i = 0; i < FT_STOP_SIGNALS; i++)
            if (ft_stop_signals[i] == signum)
                sigaction(signum, &ft_stop_before[i], NULL);
        kill(getpid(), signum);
    }
    else if (!ft_stop_came) { /* one more while the first is at work changes nothing: time is bounded */
        ft_stop_came = signum;
        PyThread_release_lock(ft_stop_told);
    }
    errno = saved;
}

/* Returns 1 if the signals are caught from now on, so that somebody has to wait. Only where all of
 * them have handlers, and once in a process: or a server that is busy would never be stopped. */
static int ft_stop_catch(void)
{
    struct sigaction now, ours;
    if (ft_stop_pid == getpid())
        return 0;
    for (int i = 0; i < FT_STOP_SIGNALS; i++) {
        if (sigaction(ft_stop_signals[i], NULL, &now) < 0 || now.sa_flags & SA_SIGINFO || now.sa_handler == SIG_DFL
            || now.sa_handler == SIG_IGN)
            return 0;
        if (now.sa_handler != ft_stop_handler) /* else a child's, in which those of the parent are known */
            ft_stop_before[i] = now;
    }
    ft_stop_told = PyThread_allocate_lock(); /* a child may find the parent's in any state */
    if (ft_stop_told == NULL)
        return 0;
    PyThread_acquire_lock(ft_stop_told, NOWAIT_LOCK);
    ft_stop_came = 0;
    ft_stop_pid = getpid();
    __atomic_store_n(&ft_stop_on, 1, __ATOMIC_SEQ_CST);
    ours.sa_handler = ft_stop_handler;
    ours.sa_flags = SA_RESTART;
    sigemptyset(&ours.sa_mask);
    for (int i = 0; i < FT_STOP_SIGNALS; i++)
        sigaction(ft_stop_signals[i], &ours, NULL);
    return 1;
}

/* Gives the signals back to the server, and the one that came at once; only what is still ours. */
static void ft_stop_end(void)
{
    struct sigaction now;
    if (ft_stop_pid != getpid() || !__atomic_exchange_n(&ft_stop_on, 0, __ATOMIC_SEQ_CST))
        return;
    for (int i = 0; i < FT_STOP_SIGNALS; i++)
        if (sigaction(ft_stop_signals[i], NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO)
            && now.sa_handler == ft_stop_handler)
            sigaction(ft_stop_signals[i], &ft_stop_before[i], NULL);
    if (ft_stop_came)
        kill(getpid(), ft_stop_came);
}

static void *ft_stop_watch(void *unused)
{
    nanosleep(&ft_stop_limit, NULL);
    ft_stop_end();
    return unused;
}

/* Called by the waiting thread, which handles no signals itself. It returns when a signal has come;
 * from then on ft_stop_end is called after `limit_s` seconds even if this thread, which needs the
 * interpreter's lock for what it has to do, does not get it. */
static void ft_stop_wait(double limit_s)
{
    pthread_t watch;
    PyThread_acquire_lock(ft_stop_told, WAIT_LOCK);
    ft_stop_limit.tv_sec = (time_t)limit_s;
    ft_stop_limit.tv_nsec = (long)((limit_s - (double)ft_stop_limit.tv_sec) * 1e9);
    if (pthread_create(&watch, NULL, ft_stop_watch, NULL) != 0)
        ft_stop_end();
    else
        pthread_detach(watch);
}
#else
static int ft_stop_is_early(void) { return 0; }
static int ft_stop_catch(void) { return 0; }
static void ft_stop_end(void) {}
static void ft_stop_wait(double limit_s) { (void)limit_s; }
#endif

#endif
