/* Zeroing a small object of known size.
 *
 * For a constant size above 64 bytes gcc writes `rep stos`, whose start-up alone takes longer than
 * the nine stores a span needs: 8 of 200 ns. Cython clears every new object with memset, so it is
 * memset that gets another meaning here, for constant sizes only.
 */
#ifndef FASTTRACE_ZERO_H
#define FASTTRACE_ZERO_H

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(FT_PORTABLE)
#include <emmintrin.h>

__attribute__((always_inline)) static inline void *ft_memset(void *p, int c, size_t n)
{
    if (__builtin_constant_p(n) && __builtin_constant_p(c) && c == 0 && n <= 256 && n % 16 == 0) {
        char *at = (char *)p;
        __m128i zero = _mm_setzero_si128();
        if (n >= 16) _mm_storeu_si128((__m128i *)at, zero);
        if (n >= 32) _mm_storeu_si128((__m128i *)(at + 16), zero);
        if (n >= 48) _mm_storeu_si128((__m128i *)(at + 32), zero);
        if (n >= 64) _mm_storeu_si128((__m128i *)(at + 48), zero);
        if (n >= 80) _mm_storeu_si128((__m128i *)(at + 64), zero);
        if (n >= 96) _mm_storeu_si128((__m128i *)(at + 80), zero);
        if (n >= 112) _mm_storeu_si128((__m128i *)(at + 96), zero);
        if (n >= 128) _mm_storeu_si128((__m128i *)(at + 112), zero);
        if (n >= 144) _mm_storeu_si128((__m128i *)(at + 128), zero);
        if (n > 144) memset(at + 144, 0, n - 144);
        return p;
    }
    return memset(p, c, n);
}
#define memset(p, c, n) ft_memset(p, c, n)
#endif

#endif
