// Boost.Interprocess as a contender: see order.rs for the lines, worker.rs for the same
// in Rust.
#include <boost/interprocess/allocators/allocator.hpp>
#include <boost/interprocess/containers/string.hpp>
#include <boost/interprocess/managed_shared_memory.hpp>
#include <boost/interprocess/sync/interprocess_mutex.hpp>
#include <boost/interprocess/sync/scoped_lock.hpp>
#include <boost/unordered_map.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <time.h>
#include <unistd.h>
#include <vector>

namespace ip = boost::interprocess;
using Segment = ip::managed_shared_memory;
template <class T> using Alloc = ip::allocator<T, Segment::segment_manager>;
using String = ip::basic_string<char, std::char_traits<char>, Alloc<char>>;
using Clock = std::chrono::steady_clock;

struct Hash {
    size_t operator()(std::string_view s) const { return std::hash<std::string_view>()(s); }
    size_t operator()(const String &s) const { return (*this)(std::string_view(s.data(), s.size())); }
};
struct Equal {
    static std::string_view view(const String &s) { return {s.data(), s.size()}; }
    static std::string_view view(std::string_view s) { return s; }
    template <class A, class B> bool operator()(const A &a, const B &b) const { return view(a) == view(b); }
};
template <class V>
using Map = boost::unordered_map<String, V, Hash, Equal, Alloc<std::pair<const String, V>>>;

constexpr size_t SHARDS = 64, STRIDE = 64, MANY = 1000;

struct alignas(64) Shard {
    ip::interprocess_mutex mutex;
    Map<String> values;
    Map<int64_t> counters;
    explicit Shard(Segment::segment_manager *m, size_t room)
        : values(room, Hash(), Equal(), m), counters(0, Hash(), Equal(), m) {}
};

struct Key {
    char bytes[16];
    uint8_t length, present;
    std::string_view view() const { return {bytes, length}; }
};
static_assert(sizeof(Key) == 18);

struct Table {
    std::string name;
    bool owner;
    std::unique_ptr<Segment> segment;
    ip::offset_ptr<Shard> *shards;

    Table(const std::string &attach, size_t entries, size_t space) : owner(attach.empty()) {
        if (owner) {
            name = "shmtable-bench-boost-" + std::to_string(getpid());
            ip::shared_memory_object::remove(name.c_str());
            size_t size = (64u << 20) + 2 * space + 400 * entries;
            segment = std::make_unique<Segment>(ip::create_only, name.c_str(), size);
            shards = segment->construct<ip::offset_ptr<Shard>>("shards")[SHARDS]();
            for (size_t i = 0; i < SHARDS; i++)
                shards[i] = segment->construct<Shard>(ip::anonymous_instance)(
                    segment->get_segment_manager(), entries / SHARDS + entries / SHARDS / 8 + 8);
        } else {
            name = attach;
            segment = std::make_unique<Segment>(ip::open_only, name.c_str());
            shards = segment->find<ip::offset_ptr<Shard>>("shards").first;
        }
    }
    ~Table() {
        if (owner) ip::shared_memory_object::remove(name.c_str());
    }
    Shard &shard(size_t hash) { return *shards[hash >> 58]; }
    // The map takes the low bits.
    Shard &of(std::string_view key) { return shard(Hash()(key) * 0x9e3779b97f4a7c15u); }
    String make(std::string_view s) {
        return String(s.data(), s.size(), Alloc<char>(segment->get_segment_manager()));
    }
    bool get(std::string_view key, std::string &value) {
        Shard &s = of(key);
        ip::scoped_lock<ip::interprocess_mutex> lock(s.mutex);
        auto at = s.values.find(key, Hash(), Equal());
        if (at == s.values.end()) return false;
        value.assign(at->second.data(), at->second.size());
        return true;
    }
    void put(std::string_view key, std::string_view value) {
        Shard &s = of(key);
        ip::scoped_lock<ip::interprocess_mutex> lock(s.mutex);
        auto at = s.values.find(key, Hash(), Equal());
        if (at != s.values.end())
            at->second.assign(value.data(), value.size());
        else
            s.values.emplace(make(key), make(value));
    }
    bool remove(std::string_view key) {
        Shard &s = of(key);
        ip::scoped_lock<ip::interprocess_mutex> lock(s.mutex);
        auto at = s.values.find(key, Hash(), Equal());
        if (at == s.values.end()) return false;
        s.values.erase(at);
        return true;
    }
    int64_t add(std::string_view key, int64_t n) {
        Shard &s = of(key);
        ip::scoped_lock<ip::interprocess_mutex> lock(s.mutex);
        auto at = s.counters.find(key, Hash(), Equal());
        if (at == s.counters.end()) at = s.counters.emplace(make(key), 0).first;
        int64_t before = at->second;
        at->second += n;
        return before;
    }
};

struct Work {
    std::vector<Key> keys, hits, half;
    std::string bytes;
    std::vector<uint32_t> lengths;
    std::string_view value() const { return std::string_view(bytes).substr(0, bytes.size() / 2); }
};

template <class T> std::vector<T> load(const std::string &path) {
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    std::vector<T> all(file.tellg() / sizeof(T));
    file.seekg(0);
    file.read(reinterpret_cast<char *>(all.data()), all.size() * sizeof(T));
    return all;
}

static bool right(const Key &key, bool found, const std::string &got, std::string_view value) {
    if (!found) return !key.present;
    return key.present && got.size() == value.size() && got.front() == value.front() &&
           got.back() == value.back();
}

static uint64_t since(Clock::time_point begin) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin).count();
}

// Nanoseconds of this thread on a processor.
static uint64_t processor() {
    timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return uint64_t(time.tv_sec) * 1000000000 + time.tv_nsec;
}

[[noreturn]] static void fail(const std::string &what) {
    std::cerr << "boost: " << what << std::endl;
    throw what;
}

static std::string pass(Table &table, const Work &work, std::istringstream &order) {
    std::string operation, name;
    size_t first, count;
    uint64_t millis, wrong = 0;
    order >> operation >> name >> first >> count >> millis;
    const auto &keys = name == "keys" ? work.keys : name == "hits" ? work.hits : work.half;
    std::string got;
    size_t at = first % keys.size(), length = 0;
    auto run = [&](auto act) {
        size_t done = 0;
        uint64_t before = processor();
        auto begin = Clock::now();
        while (done < count && since(begin) < millis * 1000000) {
            size_t stride = std::min(STRIDE, count - done);
            for (size_t i = 0; i < stride; i++) {
                act(keys[at]);
                if (++at == keys.size()) at = 0;
            }
            done += stride;
        }
        uint64_t took = processor() - before;
        if (wrong) fail(std::to_string(wrong) + " wrong answers of " + operation);
        return std::to_string(took) + " " + std::to_string(done);
    };
    if (operation == "insert" || operation == "fill" || operation == "replace")
        return run([&](const Key &key) { table.put(key.view(), work.value()); });
    if (operation == "get" || operation == "get_many")
        return run([&](const Key &key) {
            bool found = table.get(key.view(), got);
            wrong += !right(key, found, got, work.value());
        });
    if (operation == "resize")
        return run([&](const Key &key) {
            size_t bytes = work.lengths[length++ % work.lengths.size()];
            table.put(key.view(), std::string_view(work.bytes).substr(0, bytes));
        });
    if (operation == "remove") return run([&](const Key &key) { wrong += !table.remove(key.view()); });
    if (operation == "add_hot")
        return run([&](const Key &) { table.add(work.hits[0].view(), 1); });
    if (operation == "add") return run([&](const Key &key) { table.add(key.view(), 1); });
    fail("no such operation: " + operation);
}

static std::string mix(Table &table, const Work &work, std::istringstream &order) {
    std::string kind;
    uint64_t writes, millis;
    size_t index, of, threads;
    int latencies;
    order >> kind >> writes >> millis >> index >> of >> threads >> latencies;
    size_t at = work.hits.size() * index / of;
    std::map<uint64_t, uint64_t> took[2];
    std::string got;
    uint64_t operations = 0, wrong = 0;
    uint32_t draw = uint32_t(index) * 0x5bd1e995u;
    auto begin = Clock::now();
    while (since(begin) < millis * 1000000) {
        for (size_t i = 0; i < STRIDE; i++) {
            const Key &key = work.hits[at];
            if (++at == work.hits.size()) at = 0;
            draw += 0x9e3779b9u;
            Clock::time_point start;
            if (latencies) start = Clock::now();
            bool write = true;
            if (kind == "hot")
                table.add(work.hits[0].view(), 1);
            else if (kind == "many")
                table.add(key.view(), 1);
            else if ((uint64_t(draw) * 100) >> 32 >= writes) {
                wrong += !right(key, table.get(key.view(), got), got, work.value());
                write = false;
            } else
                table.put(key.view(), work.value());
            if (latencies) took[write][since(start)]++;
        }
        operations += STRIDE;
    }
    double rate = operations * 1e9 / since(begin);
    if (wrong) fail(std::to_string(wrong) + " wrong answers of a mix");
    std::ostringstream answer;
    answer << std::fixed << rate << " " << operations;
    for (auto &times : took) {
        answer << ";";
        for (auto [value, count] : times) answer << " " << value << ":" << count;
    }
    return answer.str();
}

int main(int count, char **words) {
    try {
        // worker NAME FOLDER [--entries=N] [--value-space=N] [--attach NAME]
        std::string folder = words[3], attach;
        Work work{load<Key>(folder + "/keys"), load<Key>(folder + "/hits"), load<Key>(folder + "/half"),
                  {}, load<uint32_t>(folder + "/lengths")};
        auto bytes = load<char>(folder + "/bytes");
        work.bytes.assign(bytes.begin(), bytes.end());
        size_t entries = work.keys.size(), space = 0;
        for (auto &key : work.keys) space += 2 * (key.length + work.value().size() + 8);
        for (int i = 4; i < count; i++) {
            std::string word = words[i];
            if (word.rfind("--entries=", 0) == 0) entries = std::stoull(word.substr(10));
            if (word.rfind("--value-space=", 0) == 0) space = std::stoull(word.substr(14));
            if (word == "--attach") attach = words[++i];
        }
        auto begin = Clock::now();
        Table table(attach, entries, space);
        std::cout << table.name << " " << since(begin) << std::endl;
        for (std::string line; std::getline(std::cin, line);) {
            std::istringstream order(line);
            std::string what;
            order >> what;
            if (what == "pass")
                std::cout << pass(table, work, order) << std::endl;
            else if (what == "mix")
                std::cout << mix(table, work, order) << std::endl;
            else if (what == "bytes")
                std::cout << table.segment->get_size() - table.segment->get_free_memory() << std::endl;
            else
                std::cout << table.add(work.hits[0].view(), 0) << std::endl;
        }
        return 0;
    } catch (const std::exception &error) {
        std::cerr << "boost: " << error.what() << std::endl;
    } catch (const std::string &) {
    }
    return 1;
}
