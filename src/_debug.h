/* Assertions that document invariants: compiled out of release builds, fatal in the debug build. */
#ifndef FASTTRACE_DEBUG_H
#define FASTTRACE_DEBUG_H

#include <stdio.h>
#include <stdlib.h>

#ifdef FT_DEBUG
#define FT_DEBUG_BUILD 1
#define FT_ASSERT(condition)                                                               \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            fprintf(stderr, "%s:%d: broken invariant: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                       \
        }                                                                                  \
    } while (0)
#else
#define FT_DEBUG_BUILD 0
#define FT_ASSERT(condition) ((void)0)
#endif

#if defined(FT_PORTABLE) || !defined(__GNUC__)
#define FT_LIKELY(x) (x)
#define FT_UNLIKELY(x) (x)
#else
#define FT_LIKELY(x) __builtin_expect(!!(x), 1)
#define FT_UNLIKELY(x) __builtin_expect(!!(x), 0)
/* What Cython calls on the way out after an error: the code that leads there is then kept away from the
 * rest, which takes half the room. How fast a span is depended by a fifth on where its code came to lie. */
static void __Pyx_AddTraceback(const char *, int, int, const char *) __attribute__((cold));
static void __Pyx_WriteUnraisable(const char *, int, int, const char *, int, int) __attribute__((cold));
#endif

#ifdef FT_PORTABLE
#define FT_PORTABLE_BUILD 1
#else
#define FT_PORTABLE_BUILD 0
#endif

#endif
