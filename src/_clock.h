/* Clocks and fork detection: the parts that need the operating system, or a register, directly.
 *
 * Every time stamp of the core is "monotonic nanoseconds". They come from CLOCK_MONOTONIC, or from
 * the time stamp counter once ft_tsc_adjust() has calibrated it against CLOCK_MONOTONIC. All state
 * here is read and written with the GIL held, except ft_fork_count, which a C fork may bump.
 */
#ifndef FASTTRACE_CLOCK_H
#define FASTTRACE_CLOCK_H

#include <stdint.h>
#include <time.h>

#ifdef _WIN32
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>
#else
#include <pthread.h>
#endif

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(FT_PORTABLE)
#define FT_HAVE_TSC 1
#include <cpuid.h>
#include <x86intrin.h>
__extension__ typedef unsigned __int128 ft_u128;
#else
#define FT_HAVE_TSC 0
#endif

/* ---- debug seam: lets tests of the debug build step the wall clock and freeze time ---- */
#ifdef FT_DEBUG
static int64_t ft_debug_wall_step_ns = 0;
static int64_t ft_debug_frozen_ns = 0; /* 0: running */
#endif

static int64_t ft_os_monotonic_ns(void)
{
#ifdef _WIN32
    static LARGE_INTEGER frequency;
    LARGE_INTEGER now;
    if (frequency.QuadPart == 0)
        QueryPerformanceFrequency(&frequency);
    QueryPerformanceCounter(&now);
    return (int64_t)(now.QuadPart / frequency.QuadPart) * 1000000000 +
           (int64_t)((now.QuadPart % frequency.QuadPart) * 1000000000 / frequency.QuadPart);
#else
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + (int64_t)ts.tv_nsec;
#endif
}

static int64_t ft_os_realtime_ns(void)
{
    int64_t ns;
#ifdef _WIN32
    FILETIME file_time;
    ULARGE_INTEGER ticks; /* 100 ns since 1601 */
    GetSystemTimePreciseAsFileTime(&file_time);
    ticks.LowPart = file_time.dwLowDateTime;
    ticks.HighPart = file_time.dwHighDateTime;
    ns = (int64_t)(ticks.QuadPart - 116444736000000000ULL) * 100;
#else
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    ns = (int64_t)ts.tv_sec * 1000000000 + (int64_t)ts.tv_nsec;
#endif
#ifdef FT_DEBUG
    ns += ft_debug_wall_step_ns;
#endif
    return ns;
}

/* A wall clock read that may lag by some milliseconds but costs a tenth of the precise one. */
static int64_t ft_os_realtime_coarse_ns(void)
{
#if defined(CLOCK_REALTIME_COARSE) && !defined(FT_PORTABLE)
    struct timespec ts;
    int64_t ns;
    clock_gettime(CLOCK_REALTIME_COARSE, &ts);
    ns = (int64_t)ts.tv_sec * 1000000000 + (int64_t)ts.tv_nsec;
#ifdef FT_DEBUG
    ns += ft_debug_wall_step_ns;
#endif
    return ns;
#else
    return ft_os_realtime_ns();
#endif
}

/* ---- time stamp counter ---- */
#if FT_HAVE_TSC
static int ft_tsc_state = 0;        /* 0 not calibrated, 1 in use, -1 given up for good */
static uint64_t ft_tsc_anchor = 0;  /* ticks at the anchor */
static int64_t ft_tsc_anchor_ns = 0; /* monotonic ns at the anchor, as we handed them out */
static uint64_t ft_tsc_mult = 0;    /* ns per tick, 32.32 fixed point */
static uint64_t ft_tsc_first = 0;   /* ticks and ns of the first pair ever read: the long baseline */
static int64_t ft_tsc_first_ns = 0;

static int64_t ft_tsc_convert(uint64_t ticks)
{
    return ft_tsc_anchor_ns + (int64_t)(((ft_u128)(ticks - ft_tsc_anchor) * ft_tsc_mult) >> 32);
}

/* Reads both clocks at (nearly) one instant: the pair with the shortest bracket of five. */
static void ft_tsc_pair(uint64_t *ticks, int64_t *ns)
{
    uint64_t best = UINT64_MAX;
    int i;
    for (i = 0; i < 5; i++) {
        uint64_t before = __rdtsc();
        int64_t mono = ft_os_monotonic_ns();
        uint64_t after = __rdtsc();
        if (after - before < best) {
            best = after - before;
            *ticks = before + (after - before) / 2;
            *ns = mono;
        }
    }
}

static int ft_tsc_invariant(void)
{
    unsigned int a, b, c, d;
    if (!__get_cpuid(0x80000007u, &a, &b, &c, &d))
        return 0;
    return (d >> 8) & 1;
}
#endif

static int64_t ft_now_ns(void)
{
#ifdef FT_DEBUG
    if (ft_debug_frozen_ns)
        return ft_debug_frozen_ns;
#endif
#if FT_HAVE_TSC
    if (ft_tsc_state > 0) {
        uint64_t ticks = __rdtsc();
        /* A counter behind its anchor (another socket, a migrated VM) must not wrap around. */
        if (ticks >= ft_tsc_anchor)
            return ft_tsc_convert(ticks);
        return ft_tsc_anchor_ns;
    }
#endif
    return ft_os_monotonic_ns();
}

/* First pair of the calibration; called once at import. */
static void ft_tsc_begin(void)
{
#if FT_HAVE_TSC
    if (!ft_tsc_invariant())
        ft_tsc_state = -1;
    else
        ft_tsc_pair(&ft_tsc_first, &ft_tsc_first_ns);
#endif
}

/* Calibrates or re-anchors; called outside the hot path, every flush. Returns 1 in use, 0 not yet,
 * -1 never. Continuity: the new anchor keeps the value the old one gives, and the slope is bent so
 * that any difference to CLOCK_MONOTONIC is gone one second later. */
static int ft_tsc_adjust(int allowed)
{
#if FT_HAVE_TSC
    uint64_t ticks = 0;
    int64_t mono_ns = 0;
    double slope;
    if (ft_tsc_state < 0)
        return -1;
    if (!allowed) {
        ft_tsc_state = -1;
        return -1;
    }
    ft_tsc_pair(&ticks, &mono_ns);
    if (mono_ns - ft_tsc_first_ns < 10000000 || ticks <= ft_tsc_first)
        return ft_tsc_state;
    slope = (double)(mono_ns - ft_tsc_first_ns) / (double)(ticks - ft_tsc_first);
    if (!(slope > 0.01 && slope < 100.0)) {
        ft_tsc_state = -1;
        return -1;
    }
    if (ft_tsc_state == 0) {
        ft_tsc_anchor = ticks;
        ft_tsc_anchor_ns = mono_ns;
    }
    else {
        int64_t ours_ns = ft_tsc_convert(ticks);
        int64_t lead_ns = ours_ns - mono_ns;
        if (lead_ns > 1000000 || lead_ns < -1000000) {
            ft_tsc_state = -1;
            return -1;
        }
        slope *= 1.0 - (double)lead_ns * 1e-9;
        ft_tsc_anchor = ticks;
        ft_tsc_anchor_ns = ours_ns;
    }
    ft_tsc_mult = (uint64_t)(slope * 4294967296.0 + 0.5);
    ft_tsc_state = 1;
    return 1;
#else
    (void)allowed;
    return -1;
#endif
}

/* The same again if the counter is in use. Returns 0 if it might come into use, which is not decided here. */
static int ft_tsc_keep(void)
{
#if FT_HAVE_TSC
    return ft_tsc_state > 0 ? ft_tsc_adjust(1) : ft_tsc_state;
#else
    return -1;
#endif
}

/* Back to CLOCK_MONOTONIC, for measurements of the plain clock. */
static void ft_tsc_stop(void)
{
#if FT_HAVE_TSC
    if (ft_tsc_state > 0)
        ft_tsc_state = 0;
#endif
}

/* ---- fork detection: seen without Python hooks, at the price of one compare per id ---- */
static volatile unsigned int ft_fork_count = 0;

static void ft_fork_child(void)
{
    ft_fork_count++;
}

static void ft_fork_watch(void)
{
#ifndef _WIN32
    pthread_atfork(NULL, NULL, ft_fork_child);
#endif
}

/* ---- helpers for the debug build's tests ---- */
static void ft_debug_set_clock(int64_t wall_step_ns, int64_t frozen_ns)
{
#ifdef FT_DEBUG
    ft_debug_wall_step_ns = wall_step_ns;
    ft_debug_frozen_ns = frozen_ns;
#else
    (void)wall_step_ns;
    (void)frozen_ns;
#endif
}

#endif
