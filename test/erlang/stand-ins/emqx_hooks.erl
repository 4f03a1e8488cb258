%% Stands in for EMQX's: callbacks by priority, a crash in one is noted and ignored. A process puts them in and takes
%% them out, one after the other; who takes one out does not wait for it. A test can make it slow.
-module(emqx_hooks).

-export([start/0, put/3, del/2, run/2, run_fold/3, callbacks/0, crashes/0]).

%% Since 6.0.
-define(NEW, ['message.nack', 'client.handle_info']).

start() ->
    ets:new(?MODULE, [named_table, public, ordered_set]),
    true = register(?MODULE, spawn(fun serve/0)),
    ok.

serve() ->
    receive
        {Caller, Ref, Row} ->
            Row =:= none orelse ets:insert(?MODULE, Row),
            Caller ! {Ref, done};
        {del, Name, Module, Function} ->
            timer:sleep(emqx_stand_ins:get(hooks_take, 0)),
            ets:match_delete(?MODULE, {{Name, '_', Module, Function}, '_'})
    end,
    serve().

put(Name, {Module, Function, Arguments}, Priority) ->
    Major = hd(string:lexemes(emqx_release:version(), ".")),
    lists:member(Name, ?NEW) andalso Major < "6" andalso error({invalid_hookpoint, Name}),
    call({{Name, -Priority, Module, Function}, Arguments}).

call(Row) ->
    Ref = make_ref(),
    ?MODULE ! {self(), Ref, Row},
    receive
        {Ref, done} -> ok
    end.

del(Name, {Module, Function}) ->
    ?MODULE ! {del, Name, Module, Function},
    ok.

%% But those of EMQX itself.
callbacks() ->
    ok = call(none),
    [Row || Row <- ets:tab2list(?MODULE), not is_emqx(Row)].

is_emqx({{_, _, emqx_retainer, _}, _}) -> true;
is_emqx(_) -> false.

crashes() ->
    case ets:lookup(?MODULE, crashes) of
        [] -> 0;
        [{_, Count}] -> Count
    end.

run(Name, Arguments) ->
    _ = [call(Callback, Arguments) || Callback <- named(Name)],
    ok.

run_fold(Name, Arguments, Initial) -> fold(named(Name), Arguments, Initial).

named(Name) -> [{M, F, A} || {{_, _, M, F}, A} <- ets:match_object(?MODULE, {{Name, '_', '_', '_'}, '_'})].

fold([], _, Result) ->
    Result;
fold([Callback | Others], Arguments, Result) ->
    case call(Callback, Arguments ++ [Result]) of
        stop -> Result;
        {stop, New} -> New;
        {ok, New} -> fold(Others, Arguments, New);
        _ -> fold(Others, Arguments, Result)
    end.

call({Module, Function, Extra}, Arguments) ->
    try
        apply(Module, Function, Arguments ++ Extra)
    catch
        Class:Reason:Stack ->
            ets:update_counter(?MODULE, crashes, 1, {crashes, 0}),
            io:format(standard_error, "LOG error hook ~s crashed: ~0tp ~0tp ~0tp~n", [Function, Class, Reason, Stack]),
            crashed
    end.
