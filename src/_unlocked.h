/* How long a thread holds the interpreter's lock, and sending without it. */
#ifndef FT_UNLOCKED_H
#define FT_UNLOCKED_H

#include <stdint.h>
#include <string.h>

#ifdef _MSC_VER
#define FT_THREAD_LOCAL __declspec(thread)
#else
#define FT_THREAD_LOCAL _Thread_local
#endif

/* Of one thread, since somebody asked last. A stretch is the time from when the lock was got to when it
 * is given up. */
typedef struct {
    int64_t since_ns; /* begin of the stretch; 0: nobody counts for this thread, or it has no lock */
    int64_t held_ns;  /* of all stretches that have ended */
    int64_t longest_ns;
    uint32_t stretches;
} ft_lock_meter;

static FT_THREAD_LOCAL ft_lock_meter ft_lock;
static FT_THREAD_LOCAL int ft_lock_counts;

static inline int ft_lock_is_counted(void)
{
    return ft_lock_counts;
}

/* Called with the lock, before it is given up. */
static inline void ft_lock_goes(void)
{
    if (ft_lock_counts) {
        int64_t stretch_ns = ft_os_monotonic_ns() - ft_lock.since_ns;
        ft_lock.held_ns += stretch_ns;
        if (stretch_ns > ft_lock.longest_ns)
            ft_lock.longest_ns = stretch_ns;
        ft_lock.stretches++;
    }
}

/* Called with the lock, when it has been got again. */
static inline void ft_lock_is_back(void)
{
    if (ft_lock_counts)
        ft_lock.since_ns = ft_os_monotonic_ns();
}

/* What was counted since the last call, of which the first begins to count. */
static inline ft_lock_meter ft_lock_take(void)
{
    static const ft_lock_meter nothing = {0, 0, 0, 0};
    ft_lock_meter taken;
    ft_lock_goes();
    taken = ft_lock_counts ? ft_lock : nothing;
    ft_lock = nothing;
    ft_lock_counts = 1;
    ft_lock_is_back();
    return taken;
}

enum { FT_IO_DONE, FT_IO_TIMEOUT, FT_IO_INTERRUPTED, FT_IO_ERROR };

#include <errno.h>

static inline void ft_set_errno(int error)
{
    errno = error;
}

static inline int ft_get_errno(void)
{
    return errno;
}

#ifndef _WIN32
#include <poll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

typedef struct iovec ft_piece;

#ifdef MSG_NOSIGNAL
#define FT_SEND_FLAGS MSG_NOSIGNAL
#else
#define FT_SEND_FLAGS 0
#endif

/* After a call that would have blocked, waits until another is worth while. */
static int ft_wait_for(int socket, short events, int64_t left_ns)
{
    struct pollfd wanted = {socket, events, 0};
    int timeout_ms = (int)(left_ns < 1000000000 ? left_ns / 1000000 + 1 : 1000);
    if (errno == EINTR)
        return FT_IO_INTERRUPTED;
    if (errno != EAGAIN && errno != EWOULDBLOCK)
        return FT_IO_ERROR;
    if (poll(&wanted, 1, timeout_ms) < 0)
        return errno == EINTR ? FT_IO_INTERRUPTED : FT_IO_ERROR;
    return FT_IO_DONE;
}

/* Sends `count` pieces over a non-blocking socket, as few packets as they fit in, until all are sent, the time
 * (monotonic) is over, a signal came, or an error, which is then in errno. The pieces become what is left of them. */
static int ft_send_pieces(int socket, ft_piece *pieces, int count, int64_t deadline_ns)
{
    for (;;) {
        struct msghdr message;
        int64_t left_ns = deadline_ns - ft_now_ns();
        ssize_t done;
        int outcome, i;
        while (count > 0 && pieces->iov_len == 0)
            pieces++, count--;
        if (count == 0)
            return FT_IO_DONE;
        if (left_ns <= 0)
            return FT_IO_TIMEOUT;
        memset(&message, 0, sizeof(message));
        message.msg_iov = pieces;
        message.msg_iovlen = count;
        done = sendmsg(socket, &message, FT_SEND_FLAGS);
        if (done < 0 && (outcome = ft_wait_for(socket, POLLOUT, left_ns)) != FT_IO_DONE)
            return outcome;
        for (i = 0; done > 0; i++) {
            size_t part = (size_t)done < pieces[i].iov_len ? (size_t)done : pieces[i].iov_len;
            pieces[i].iov_base = (char *)pieces[i].iov_base + part;
            pieces[i].iov_len -= part;
            done -= (ssize_t)part;
        }
    }
}

/* Waits until something can be read, or the time is over, and reads it unless it is an end or an error: those
 * stay, for whoever reads next, and 0 is returned as it is when the time is over. */
static size_t ft_receive_reply(int socket, char *data, size_t room, int64_t deadline_ns)
{
    struct pollfd wanted = {socket, POLLIN, 0};
    int64_t left_ns;
    while ((left_ns = deadline_ns - ft_now_ns()) > 0) {
        int ready = poll(&wanted, 1, (int)(left_ns < 1000000000 ? left_ns / 1000000 + 1 : 1000));
        if (ready != 0) {
            ssize_t done = ready > 0 && wanted.revents == POLLIN ? recv(socket, data, room, 0) : 0;
            return done > 0 ? (size_t)done : 0;
        }
    }
    return 0;
}

/* Receives what there is, at least a byte unless it is the end; as above. */
static int ft_receive_bytes(int socket, char *data, size_t room, int64_t deadline_ns, size_t *received)
{
    for (;;) {
        int64_t left_ns = deadline_ns - ft_now_ns();
        ssize_t done;
        int outcome;
        if (left_ns <= 0)
            return FT_IO_TIMEOUT;
        done = recv(socket, data, room, 0);
        if (done >= 0) {
            *received = (size_t)done;
            return FT_IO_DONE;
        }
        if ((outcome = ft_wait_for(socket, POLLIN, left_ns)) != FT_IO_DONE)
            return outcome;
    }
}

/* Whether something can be read at once: data, the end or an error. */
static int ft_is_readable(int socket)
{
    struct pollfd wanted = {socket, POLLIN, 0};
    return poll(&wanted, 1, 0) != 0;
}
#else
typedef struct {
    void *iov_base;
    size_t iov_len;
} ft_piece;

static int ft_send_pieces(int socket, ft_piece *pieces, int count, int64_t deadline_ns)
{
    (void)socket, (void)pieces, (void)count, (void)deadline_ns;
    errno = ENOSYS;
    return FT_IO_ERROR;
}

static int ft_receive_bytes(int socket, char *data, size_t room, int64_t deadline_ns, size_t *received)
{
    (void)data, (void)room, (void)received;
    return ft_send_pieces(socket, NULL, 0, deadline_ns);
}

static int ft_is_readable(int socket)
{
    (void)socket;
    return 1;
}

static size_t ft_receive_reply(int socket, char *data, size_t room, int64_t deadline_ns)
{
    (void)socket, (void)data, (void)room, (void)deadline_ns;
    return 0;
}
#endif

#endif
