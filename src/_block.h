/* Memory for buffers that grow. Large ones are mapped by themselves, where the system can move such
 * mappings without a copy: they go back to it when they are freed, and leave no holes in the heap, in
 * which outages of the agent, each with buffers of other sizes, would make the process grow. */
#ifndef FT_BLOCK_H
#define FT_BLOCK_H

#include <string.h>

#if defined(__linux__) && !defined(FT_PORTABLE) && !defined(__SANITIZE_ADDRESS__)
#include <sys/mman.h>
#define FT_BLOCK_MAPPED ((size_t)256 << 10) /* bytes: from this room on */

static size_t ft_block_pages(size_t room)
{
    return (room + 4095) & ~(size_t)4095;
}

/* A block of `room` bytes instead of `old`, which has `old_room` (0: none) and is gone then, with as
 * much of its contents as both can hold. NULL, and nothing changed, if there is no memory. */
static void *ft_block_resize(void *old, size_t old_room, size_t room)
{
    void *block;
    int mapped = old_room >= FT_BLOCK_MAPPED, to_map = room >= FT_BLOCK_MAPPED;
    if (!mapped && !to_map)
        return PyMem_RawRealloc(old, room);
    if (mapped && to_map) {
        block = mremap(old, ft_block_pages(old_room), ft_block_pages(room), MREMAP_MAYMOVE);
        return block == MAP_FAILED ? NULL : block;
    }
    if (to_map) {
        block = mmap(NULL, ft_block_pages(room), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (block == MAP_FAILED)
            return NULL;
    }
    else if ((block = PyMem_RawMalloc(room)) == NULL)
        return NULL;
    if (old_room > 0)
        memcpy(block, old, old_room < room ? old_room : room);
    if (mapped)
        munmap(old, ft_block_pages(old_room));
    else
        PyMem_RawFree(old);
    return block;
}

static void ft_block_free(void *block, size_t room)
{
    if (room >= FT_BLOCK_MAPPED)
        munmap(block, ft_block_pages(room));
    else
        PyMem_RawFree(block);
}
#else
static void *ft_block_resize(void *old, size_t old_room, size_t room)
{
    (void)old_room;
    return PyMem_RawRealloc(old, room);
}

static void ft_block_free(void *block, size_t room)
{
    (void)room;
    PyMem_RawFree(block);
}
#endif

#endif
