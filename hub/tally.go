package hub

// tally counts by name. Most have one name, or a few, for which a slice takes a
// fraction of a map's memory. The zero value is empty.
type tally struct {
	list   []nameCount
	byName map[string]int // instead of list once there are many
}

type nameCount struct {
	name  string
	count int
}

// manyNames is where searching a slice becomes slower than a map.
const manyNames = 12

// add changes a name's count and returns it. A count of 0 is forgotten.
func (t *tally) add(name string, n int) int {
	if t.byName != nil {
		return t.addMapped(name, n)
	}
	for i := range t.list {
		if t.list[i].name != name {
			continue
		}
		t.list[i].count += n
		count := t.list[i].count
		if count == 0 {
			last := len(t.list) - 1
			t.list[i], t.list[last] = t.list[last], nameCount{}
			t.list = t.list[:last]
		}
		return count
	}
	if len(t.list) < manyNames {
		t.list = append(t.list, nameCount{name, n})
		return n
	}
	t.byName = make(map[string]int, 2*manyNames)
	for _, c := range t.list {
		t.byName[c.name] = c.count
	}
	t.list = nil
	return t.addMapped(name, n)
}

func (t *tally) addMapped(name string, n int) int {
	count := t.byName[name] + n
	if count == 0 {
		delete(t.byName, name)
	} else {
		t.byName[name] = count
	}
	return count
}
