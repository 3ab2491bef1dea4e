/* Msgpack bytes: stores that do not depend on alignment or byte order.
 *
 * Each writer puts its bytes at `p` and returns the position after them; making room is the
 * caller's business. The shift-and-store forms compile to one bswap and one store.
 */
#ifndef FASTTRACE_WIRE_H
#define FASTTRACE_WIRE_H

#include <stdint.h>
#include <string.h>

/* For what must not become a call: a string costs about as much as calling a function does. */
#if defined(__GNUC__) && !defined(FT_PORTABLE)
#define WIRE_INLINE inline __attribute__((always_inline))
#else
#define WIRE_INLINE inline
#endif

static inline void wire_be16(unsigned char *p, uint16_t v)
{
    p[0] = (unsigned char)(v >> 8);
    p[1] = (unsigned char)v;
}

static inline void wire_be32(unsigned char *p, uint32_t v)
{
    p[0] = (unsigned char)(v >> 24);
    p[1] = (unsigned char)(v >> 16);
    p[2] = (unsigned char)(v >> 8);
    p[3] = (unsigned char)v;
}

static inline void wire_be64(unsigned char *p, uint64_t v)
{
    p[0] = (unsigned char)(v >> 56);
    p[1] = (unsigned char)(v >> 48);
    p[2] = (unsigned char)(v >> 40);
    p[3] = (unsigned char)(v >> 32);
    p[4] = (unsigned char)(v >> 24);
    p[5] = (unsigned char)(v >> 16);
    p[6] = (unsigned char)(v >> 8);
    p[7] = (unsigned char)v;
}

/* Copies n bytes by overlapping fixed-size moves; for short strings cheaper than a call. */
static inline void wire_copy(unsigned char *to, const char *from, size_t n)
{
    if (n >= 8) {
        if (n <= 16) {
            memcpy(to, from, 8);
            memcpy(to + n - 8, from + n - 8, 8);
        }
        else if (n <= 32) {
            memcpy(to, from, 16);
            memcpy(to + n - 16, from + n - 16, 16);
        }
        else
            memcpy(to, from, n);
    }
    else if (n >= 4) {
        memcpy(to, from, 4);
        memcpy(to + n - 4, from + n - 4, 4);
    }
    else if (n > 0) {
        to[0] = (unsigned char)from[0];
        to[n / 2] = (unsigned char)from[n / 2];
        to[n - 1] = (unsigned char)from[n - 1];
    }
}

/* A string of at most 31 bytes. */
static WIRE_INLINE unsigned char *wire_put_short(unsigned char *p, const char *s, size_t n)
{
    *p++ = (unsigned char)(0xa0 | n);
    if (n >= 8) {
        if (n <= 16) {
            memcpy(p, s, 8);
            memcpy(p + n - 8, s + n - 8, 8);
        }
        else {
            memcpy(p, s, 16);
            memcpy(p + n - 16, s + n - 16, 16);
        }
    }
    else if (n >= 4) {
        memcpy(p, s, 4);
        memcpy(p + n - 4, s + n - 4, 4);
    }
    else if (n > 0) {
        p[0] = (unsigned char)s[0];
        p[n / 2] = (unsigned char)s[n / 2];
        p[n - 1] = (unsigned char)s[n - 1];
    }
    return p + n;
}

/* Copies n bytes and up to 15 more: both sides have room for them, and what follows overwrites them. */
static WIRE_INLINE unsigned char *wire_copy_padded(unsigned char *to, const unsigned char *from, size_t n)
{
    size_t i;
    if (n > 256)
        memcpy(to, from, n);
    else
        for (i = 0; i < n; i += 16)
            memcpy(to + i, from + i, 16);
    return to + n;
}

static inline unsigned char *wire_put_uint(unsigned char *p, uint64_t v)
{
    if (v < 0x80) {
        *p = (unsigned char)v;
        return p + 1;
    }
    if (v <= 0xff) {
        p[0] = 0xcc;
        p[1] = (unsigned char)v;
        return p + 2;
    }
    if (v <= 0xffff) {
        p[0] = 0xcd;
        wire_be16(p + 1, (uint16_t)v);
        return p + 3;
    }
    if (v <= 0xffffffffu) {
        p[0] = 0xce;
        wire_be32(p + 1, (uint32_t)v);
        return p + 5;
    }
    p[0] = 0xcf;
    wire_be64(p + 1, v);
    return p + 9;
}

static inline unsigned char *wire_put_int(unsigned char *p, int64_t v)
{
    if (v >= 0)
        return wire_put_uint(p, (uint64_t)v);
    if (v >= -32) {
        *p = (unsigned char)(v & 0xff);
        return p + 1;
    }
    if (v >= -0x80) {
        p[0] = 0xd0;
        p[1] = (unsigned char)(v & 0xff);
        return p + 2;
    }
    if (v >= -0x8000) {
        p[0] = 0xd1;
        wire_be16(p + 1, (uint16_t)(v & 0xffff));
        return p + 3;
    }
    if (v >= -INT64_C(0x80000000)) {
        p[0] = 0xd2;
        wire_be32(p + 1, (uint32_t)(v & 0xffffffff));
        return p + 5;
    }
    p[0] = 0xd3;
    wire_be64(p + 1, (uint64_t)v);
    return p + 9;
}

static inline unsigned char *wire_put_double(unsigned char *p, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, 8);
    p[0] = 0xcb;
    wire_be64(p + 1, bits);
    return p + 9;
}

static inline unsigned char *wire_put_array_header(unsigned char *p, uint32_t n)
{
    if (n < 16) {
        *p = (unsigned char)(0x90 | n);
        return p + 1;
    }
    if (n <= 0xffff) {
        p[0] = 0xdc;
        wire_be16(p + 1, (uint16_t)n);
        return p + 3;
    }
    p[0] = 0xdd;
    wire_be32(p + 1, n);
    return p + 5;
}

static inline unsigned char *wire_put_map_header(unsigned char *p, uint32_t n)
{
    if (n < 16) {
        *p = (unsigned char)(0x80 | n);
        return p + 1;
    }
    if (n <= 0xffff) {
        p[0] = 0xde;
        wire_be16(p + 1, (uint16_t)n);
        return p + 3;
    }
    p[0] = 0xdf;
    wire_be32(p + 1, n);
    return p + 5;
}

/* At most 5 + n bytes. */
static inline unsigned char *wire_put_str(unsigned char *p, const char *s, size_t n)
{
    if (n < 32)
        *p++ = (unsigned char)(0xa0 | n);
    else if (n <= 0xff) {
        p[0] = 0xd9;
        p[1] = (unsigned char)n;
        p += 2;
    }
    else if (n <= 0xffff) {
        p[0] = 0xda;
        wire_be16(p + 1, (uint16_t)n);
        p += 3;
    }
    else {
        p[0] = 0xdb;
        wire_be32(p + 1, (uint32_t)n);
        p += 5;
    }
    wire_copy(p, s, n);
    return p + n;
}

/* ---- the fixed part of a v0.4 span: every field of constant size behind one copy ---- */
enum {
    WIRE_TRACE_ID = 1 + 9 + 1,           /* offsets of the values behind their type byte */
    WIRE_SPAN_ID = WIRE_TRACE_ID + 8 + 8 + 1,
    WIRE_PARENT_ID = WIRE_SPAN_ID + 8 + 10 + 1,
    WIRE_START = WIRE_PARENT_ID + 8 + 6 + 1,
    WIRE_DURATION = WIRE_START + 8 + 9 + 1,
    WIRE_FIXED_SIZE = WIRE_DURATION + 8
};

static const char wire_v04_template[] =
    "\x80"
    "\xa8trace_id\xcf\0\0\0\0\0\0\0\0"
    "\xa7span_id\xcf\0\0\0\0\0\0\0\0"
    "\xa9parent_id\xcf\0\0\0\0\0\0\0\0"
    "\xa5start\xd3\0\0\0\0\0\0\0\0"
    "\xa8" "duration\xd3\0\0\0\0\0\0\0\0";

static inline unsigned char *wire_put_v04_fixed(unsigned char *p, uint64_t trace_id, uint64_t span_id,
                                                uint64_t parent_id, int64_t start_ns,
                                                int64_t duration_ns)
{
    memcpy(p, wire_v04_template, WIRE_FIXED_SIZE);
    wire_be64(p + WIRE_TRACE_ID, trace_id);
    wire_be64(p + WIRE_SPAN_ID, span_id);
    wire_be64(p + WIRE_PARENT_ID, parent_id);
    wire_be64(p + WIRE_START, (uint64_t)start_ns);
    wire_be64(p + WIRE_DURATION, (uint64_t)duration_ns);
    return p + WIRE_FIXED_SIZE;
}

#endif
