// SPDX-License-Identifier: Apache-2.0
#include "base/uv/state_file.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text_file.h"
#include "base/uv/socket.h"
#include "base/uv/state.h"

namespace outrider::uv {
namespace {

std::string last_error(const std::string& path) {
  return path + ": " + std::strerror(errno);
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, std::max<std::size_t>(slash, 1));
}

std::string draft_of(const std::string& path) {
  return path + ".new";
}

/// A new or renamed file is found after a power cut only if its folder has been written, too.
bool sync_folder(const std::string& path) {
  const FileDescriptor folder(::open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return folder && ::fsync(folder.get()) == 0;
}

void make_folders(const std::string& path) {
  for (std::size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1))
    ::mkdir(path.substr(0, at).c_str(), 0700);
}

std::string aside_of(const std::string& path, unsigned number) {
  return path + ".unreadable" + (number == 1 ? "" : '-' + std::to_string(number));
}

bool exists(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0;
}

/// Kept in PATH.lock; `held` if another process has it.
struct Lock {
  FileDescriptor fd;
  bool held = false;
};

Lock lock_of(const std::string& path) {
  const std::string name = path + ".lock";
  Lock lock{FileDescriptor(::open(name.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600))};
  if (lock.fd && ::flock(lock.fd.get(), LOCK_EX | LOCK_NB) != 0) lock.held = true;
  return lock;
}

class Steps {
 public:
  explicit Steps(const std::function<void(int)>& before) : before_(before) {}
  void next() {
    if (before_) before_(number_++);
  }

 private:
  const std::function<void(int)>& before_;
  int number_ = 0;
};

Result<void, std::string> append(const std::string& path, std::string_view text, Steps& steps) {
  steps.next();
  const FileDescriptor fd(
      ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  struct stat before {};
  if (!fd || ::fstat(fd.get(), &before) != 0) return failure(last_error(path));
  // In two pieces, so that a test can end between them.
  const std::size_t half = text.size() / 2;
  steps.next();
  bool good = write_all(fd.get(), text.substr(0, half));
  steps.next();
  good = good && write_all(fd.get(), text.substr(half));
  steps.next();
  good = good && ::fdatasync(fd.get()) == 0;
  steps.next();
  if (good && (before.st_size > 0 || sync_folder(path))) return {};
  std::string why = last_error(path);
  (void)!::ftruncate(fd.get(), before.st_size);  // the caller replaces the file anyway
  return failure(std::move(why));
}

Result<void, std::string> replace(const std::string& path, std::string_view text, Steps& steps) {
  const std::string draft = draft_of(path);
  const auto failed = [&draft] {
    std::string why = last_error(draft);
    ::unlink(draft.c_str());
    return failure(std::move(why));
  };
  steps.next();
  ::unlink(draft.c_str());
  FileDescriptor fd(
      ::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return failure(last_error(draft));
  const std::size_t half = text.size() / 2;
  steps.next();
  if (!write_all(fd.get(), text.substr(0, half))) return failed();
  steps.next();
  if (!write_all(fd.get(), text.substr(half))) return failed();
  steps.next();
  if (::fsync(fd.get()) != 0) return failed();
  steps.next();
  if (::rename(draft.c_str(), path.c_str()) != 0) return failed();
  steps.next();
  if (!sync_folder(path)) return failure(last_error(path));
  return {};
}

class DiskStateFile final : public StateFile {
 public:
  DiskStateFile(Loop& loop, std::string path) : loop_(loop), path_(std::move(path)) {}
  ~DiskStateFile() override {
    if (job_) end_thread();
  }

  std::string path() const override { return path_; }
  Result<Opened, StateError> open() override;
  void write(Write how, std::string text, Callback<void(Result<void, std::string>)> done) override;
  Result<std::string, std::string> set_aside(Original original) override;
  std::vector<std::string> files_aside() const override;

 private:
  struct Job {
    std::string path;
    Write how;
    std::string text;
    Result<void, std::string> result;
    Loop::Waker* waker;
    std::optional<uv_thread_t> thread;
    Callback<void(Result<void, std::string>)> done;

    void run() {
      result = write_state(path, how, text);
      waker->wake();
    }
  };
  Result<std::string, StateError> read() const;
  void end_thread() {
    if (job_->thread) uv_thread_join(&*job_->thread);
  }
  void on_written();

  Loop& loop_;
  std::string path_;
  FileDescriptor lock_;
  std::unique_ptr<Loop::Waker> waker_;
  std::unique_ptr<Job> job_;  // under way; before the waker that it uses
};

Result<std::string, StateError> DiskStateFile::read() const {
  using Kind = StateError::Kind;
  // Without O_NONBLOCK a FIFO would be waited for.
  const FileDescriptor fd(::open(path_.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd && errno == ENOENT) return std::string();
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0)
    return failure(StateError{Kind::unreadable, last_error(path_)});
  if (!S_ISREG(info.st_mode))
    return failure(StateError{Kind::unreadable, path_ + ": not a regular file"});
  if (static_cast<std::size_t>(info.st_size) > kStateBytesMax)
    return failure(StateError{Kind::unreadable, path_ + ": longer than " +
                                                    std::to_string(kStateBytesMax >> 20) + " MiB"});
  std::string text(static_cast<std::size_t>(info.st_size), '\0');
  std::size_t at = 0;
  while (at < text.size()) {
    const ssize_t size = ::read(fd.get(), text.data() + at, text.size() - at);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return failure(StateError{Kind::unreadable, last_error(path_)});
    if (size == 0) break;
    at += static_cast<std::size_t>(size);
  }
  text.resize(at);
  return text;
}

Result<StateFile::Opened, StateError> DiskStateFile::open() {
  Opened opened;
  if (!lock_) {
    make_folders(path_);
    Lock lock = lock_of(path_);
    if (!lock.fd)
      opened.unwritable = last_error(path_ + ".lock");
    else if (lock.held)
      return failure(StateError{StateError::Kind::held, path_ + ": another agent uses it"});
    else
      lock_ = std::move(lock.fd);
  }
  if (lock_) ::unlink(draft_of(path_).c_str());  // of a write that was interrupted
  auto text = read();
  if (!text && !opened.unwritable.empty()) text.error().kind = StateError::Kind::failed;
  if (!text) return failure(std::move(text.error()));
  opened.text = std::move(*text);
  return opened;
}

void DiskStateFile::write(Write how, std::string text,
                          Callback<void(Result<void, std::string>)> done) {
  OUTRIDER_ASSERT(!job_);
  if (!waker_) waker_ = loop_.make_waker([this] { on_written(); });
  job_ = std::make_unique<Job>(
      Job{path_, how, std::move(text), {}, waker_.get(), std::nullopt, std::move(done)});
  uv_thread_t thread{};
  const auto run = [](void* job) { static_cast<Job*>(job)->run(); };
  if (uv_thread_create(&thread, run, job_.get()) == 0)
    job_->thread = thread;
  else
    job_->run();  // no thread is to be had: better late than never
}

void DiskStateFile::on_written() {
  if (!job_) return;
  end_thread();
  const std::unique_ptr<Job> job = std::move(job_);
  job->done(std::move(job->result));  // may destroy this
}

Result<std::string, std::string> DiskStateFile::set_aside(Original original) {
  struct stat info {};
  if (::lstat(path_.c_str(), &info) != 0) return failure(last_error(path_));
  std::string aside;
  for (unsigned number = 1; number <= kAsideMax; ++number) {
    aside = aside_of(path_, number);
    struct stat there {};
    if (::lstat(aside.c_str(), &there) != 0) break;
    // An earlier run has kept it, and could not replace the original.
    if (there.st_dev == info.st_dev && there.st_ino == info.st_ino) return aside;
    if (number == kAsideMax) ::unlink(aside.c_str());
  }
  // Without hard links (FAT), it is moved after all.
  if (original == Original::stays && ::link(path_.c_str(), aside.c_str()) == 0) return aside;
  if (::rename(path_.c_str(), aside.c_str()) != 0) return failure(last_error(path_));
  return aside;
}

std::vector<std::string> DiskStateFile::files_aside() const {
  std::vector<std::string> found;
  for (unsigned number = 1; number <= kAsideMax; ++number)
    if (std::string aside = aside_of(path_, number); exists(aside))
      found.push_back(std::move(aside));
  return found;
}

}  // namespace

Result<void, std::string> write_state(const std::string& path, StateFile::Write how,
                                      std::string_view text,
                                      const std::function<void(int)>& before_step) {
  make_folders(path);
  Steps steps(before_step);
  return how == StateFile::Write::append ? append(path, text, steps) : replace(path, text, steps);
}

void take_over_state_file(const std::string& earlier, const std::string& path) {
  if (!exists(earlier) || exists(path)) return;
  const Lock lock = lock_of(earlier);
  if (!lock.fd || lock.held) return;
  // link() replaces nothing, not even what another agent has made meanwhile.
  if (::link(earlier.c_str(), path.c_str()) != 0) return;
  ::unlink(earlier.c_str());
  sync_folder(path);
}

std::unique_ptr<StateFile> make_state_file(Loop& loop, std::string path) {
  return std::make_unique<DiskStateFile>(loop, std::move(path));
}

}  // namespace outrider::uv
