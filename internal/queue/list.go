package queue

import (
	"cmp"
	"slices"
)

// few bounds the array of items in normal times. An empty list drops a larger one, and a smaller
// one is used again from its beginning before it grows.
const few = 2 * Messages

// A list holds items in order.
type list struct {
	items  []entry // items[head:] are in the list
	head   int
	bytes  int    // of the Data of the items
	number uint64 // of the next item
}

// An entry is an item in a list. Numbers grow along the list.
type entry struct {
	Item
	number uint64
}

func (l *list) len() int { return len(l.items) - l.head }

// add appends an item. A pointer, because copies of an item are half of what a Push costs.
func (l *list) add(it *Item) {
	full, worth := len(l.items) == cap(l.items), l.head >= len(l.items)/2 || len(l.items) <= few
	if full && worth && l.head > 0 {
		n := copy(l.items, l.items[l.head:])
		clear(l.items[n:])
		l.items, l.head = l.items[:n], 0
	}
	l.items = append(l.items, entry{*it, l.number})
	l.number++
	l.bytes += len(it.Data)
}

// find returns the index of the first item with the given number or a greater one.
func (l *list) find(number uint64) int {
	i, _ := slices.BinarySearchFunc(l.items[l.head:], number, func(e entry, number uint64) int {
		return cmp.Compare(e.number, number)
	})
	return l.head + i
}

// remove moves the item at index i to it.
func (l *list) remove(i int, it *Item) {
	*it = l.items[i].Item
	l.bytes -= len(it.Data)
	if i == l.head {
		l.items[i] = entry{}
		l.head++
	} else {
		l.items = slices.Delete(l.items, i, i+1)
	}
	if l.len() == 0 && cap(l.items) > few { // the queue was widened
		l.items, l.head = nil, 0
	}
}
